package knowledge

// Techniques returns the techniques and sub-techniques in use, by id. Their slices
// belong to the table.
func Techniques() []Technique {
	var out []Technique
	for _, t := range attack().techniques {
		if t.RevokedBy == "" && !t.Deprecated {
			out = append(out, t)
		}
	}
	return out
}
