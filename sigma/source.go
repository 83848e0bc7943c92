package sigma

// Source returns the text of the rule's YAML document as it was read, whatever
// pipelines have made of it since. The caller must not change it.
func (r *Rule) Source() []byte { return r.source }
