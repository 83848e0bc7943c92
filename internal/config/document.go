package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Example is a commented file with every setting at its default. Lists show one
// item, commented out.
func Example() string {
	var b strings.Builder
	b.WriteString("# Every setting of `catena serve`, at its default. Made from the program; `catena config check FILE`\n# says what is wrong with yours. Each can be given as a flag (--set bus.replicas=5) or as an\n# environment variable (CATENA_BUS_REPLICAS=5) as well; of lists of more than values only the file\n# can speak. Secrets are written as env:NAME or file:PATH.\n")
	c := Default()
	example(&b, reflect.ValueOf(c), "", "", "")
	return b.String()
}

// example writes the fields of v. indent stands before the text of a line, mark
// before that: a hash where all is commented out.
func example(b *strings.Builder, v reflect.Value, mark, indent, kind string) {
	for i, f := range reflect.VisibleFields(v.Type()) {
		name, x := f.Tag.Get("yaml"), v.Field(i)
		if indent == "" && mark == "" {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "%s%s# %s", mark, indent, f.Tag.Get("doc"))
		if one := f.Tag.Get("one"); one != "" {
			fmt.Fprintf(b, " One of: %s.", strings.ReplaceAll(one, ",", ", "))
		}
		b.WriteByte('\n')
		switch {
		case x.Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s%s:\n", mark, indent, name)
			example(b, x, mark, indent+"  ", join(kind, name))
		case x.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s%s: []\n", mark, indent, name)
			e := reflect.New(f.Type.Elem()).Elem()
			if d := item(join(kind, name)); d != nil {
				e.Set(reflect.ValueOf(d))
			}
			fmt.Fprintf(b, "# %s  -\n", indent)
			if mark == "" {
				example(b, e, "# ", indent+"    ", join(kind, name))
			} else {
				example(b, e, mark, indent+"    ", join(kind, name))
			}
		case x.Kind() == reflect.Slice:
			fmt.Fprintf(b, "%s%s%s: []\n", mark, indent, name)
		default:
			fmt.Fprintf(b, "%s%s%s: %s\n", mark, indent, name, written(x))
		}
	}
}

// written is a value as the file has it.
func written(v reflect.Value) string {
	if s, ok := v.Interface().(fmt.Stringer); ok {
		if t := s.String(); t != "" {
			return t
		}
		return `""`
	}
	if v.Kind() == reflect.String && (v.String() == "" || v.String() == "*") {
		return fmt.Sprintf("%q", v.String())
	}
	return fmt.Sprint(v.Interface())
}

// Schema is the JSON Schema of a configuration file, for editors.
func Schema() map[string]any {
	s := schema(reflect.ValueOf(Default()), reflect.StructField{})
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Configuration of catena serve"
	return s
}

func schema(v reflect.Value, f reflect.StructField) map[string]any {
	s := map[string]any{}
	if d := f.Tag.Get("doc"); d != "" {
		s["description"] = d
	}
	switch {
	case v.Kind() == reflect.Struct:
		props := map[string]any{}
		for i, f := range reflect.VisibleFields(v.Type()) {
			props[f.Tag.Get("yaml")] = schema(v.Field(i), f)
		}
		s["type"], s["properties"], s["additionalProperties"] = "object", props, false
	case v.Kind() == reflect.Slice:
		e := schema(reflect.New(v.Type().Elem()).Elem(), reflect.StructField{Tag: tagOf(f)})
		delete(e, "description")
		s["type"], s["items"], s["maxItems"] = "array", e, maxList
	case v.Kind() == reflect.Bool:
		s["type"] = "boolean"
	case v.Kind() == reflect.Int:
		s["type"] = "integer"
	case v.Kind() == reflect.Float64:
		s["type"] = "number"
	case v.Type() == reflect.TypeFor[Size]():
		s["type"] = []string{"string", "integer"}
	default:
		s["type"] = "string"
	}
	if one := f.Tag.Get("one"); one != "" && v.Kind() == reflect.String {
		s["enum"] = append(strings.Split(one, ","), "")
	}
	return s
}

// tagOf leaves of a list's tags those that hold for its items.
func tagOf(f reflect.StructField) reflect.StructTag {
	return reflect.StructTag(fmt.Sprintf("one:%q", f.Tag.Get("one")))
}

// live are the settings that a running process takes over; of all others it says that
// they need a restart.
var live = []string{"rules", "notify", "retention", "log.level"}

// Diff lists the settings that differ, by path: those that a reload takes over, and
// those that need a restart.
func Diff(old, next Config) (taken, restart []string) {
	var walk func(a, b reflect.Value, path string)
	walk = func(a, b reflect.Value, path string) {
		for i, f := range reflect.VisibleFields(a.Type()) {
			x, y, at := a.Field(i), b.Field(i), join(path, f.Tag.Get("yaml"))
			switch {
			case x.Kind() == reflect.Struct:
				walk(x, y, at)
			case reflect.DeepEqual(x.Interface(), y.Interface()) || x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0:
			case slices.ContainsFunc(live, func(l string) bool { return at == l || strings.HasPrefix(at, l+".") }):
				taken = append(taken, at)
			default:
				restart = append(restart, at)
			}
		}
	}
	walk(reflect.ValueOf(old), reflect.ValueOf(next), "")
	return taken, restart
}
