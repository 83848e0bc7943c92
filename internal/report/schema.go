package report

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:embed schema/*.json
var schemaFiles embed.FS

// schemas says by name which other schemas each one refers to.
func schemas() map[string][]string {
	return map[string][]string{
		"report":   {"alert", "incident"},
		"incident": nil,
		"alert":    nil,
		"event":    nil,
		"decision": nil,
	}
}

// SchemaNames lists the names that Schema knows, sorted.
func SchemaNames() []string {
	var names []string
	for n := range schemas() {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Schema returns a JSON Schema (draft 2020-12) by name: "report", "incident",
// "alert", "event" or "decision". It is complete in itself: schemas it refers to stand in its $defs.
func Schema(name string) ([]byte, error) {
	refs, ok := schemas()[name]
	if !ok {
		return nil, fmt.Errorf("schema %q: unknown, have %s", name, strings.Join(SchemaNames(), ", "))
	}
	doc, err := readSchema(name)
	if err != nil {
		return nil, err
	}
	if len(refs) > 0 {
		defs, _ := doc["$defs"].(map[string]any)
		if defs == nil {
			defs = make(map[string]any, len(refs))
		}
		for _, ref := range refs {
			if defs[ref], err = readSchema(ref); err != nil {
				return nil, err
			}
		}
		doc["$defs"] = defs
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	return append(b, '\n'), nil
}

func readSchema(name string) (map[string]any, error) {
	b, err := schemaFiles.ReadFile("schema/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	return doc, nil
}
