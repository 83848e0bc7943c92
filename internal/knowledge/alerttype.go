package knowledge

import (
	"strings"
	"sync"

	"github.com/catena-sec/catena/internal/model"
)

// An AlertType is what Microsoft documents of an alert of Defender for Cloud.
type AlertType struct {
	Types    []string // the identifiers it is raised under; may be empty
	Name     string
	Intents  []model.Intent // may be empty: a quarter of the list states none
	Severity string         // as documented
}

type alertTypeTable struct {
	list   []AlertType
	byType map[string][]model.Intent // lower-case type
	byName map[string][]model.Intent // normal title
}

var alertTypes = sync.OnceValue(func() *alertTypeTable {
	t := &alertTypeTable{byType: map[string][]model.Intent{}, byName: map[string][]model.Intent{}}
	for _, r := range rows("alert_types.tsv", alertTypesTable, 4) {
		a := AlertType{Types: strings.Fields(r[0]), Name: r[3], Severity: r[2]}
		for _, w := range list(r[1]) {
			a.Intents = append(a.Intents, model.Intent(w))
		}
		t.list = append(t.list, a)
		if len(a.Intents) == 0 {
			continue
		}
		for _, typ := range a.Types {
			typ = strings.ToLower(typ)
			t.byType[typ] = add(t.byType[typ], a.Intents...)
		}
		name := normalTitle(a.Name)
		t.byName[name] = add(t.byName[name], a.Intents...)
	}
	return t
})

// AlertTypes returns every documented alert, in the order of the documentation.
func AlertTypes() []AlertType { return append([]AlertType(nil), alertTypes().list...) }

// IntentsOfType returns the documented intents of an alert by its type, or by
// its title where the type is unknown or empty; nil if neither is documented
// with an intent. Of types that are suffixed with the operating system
// ("VM_X.Windows") the part before is tried too.
func IntentsOfType(alertType, title string) []model.Intent {
	t := alertTypes()
	typ := strings.ToLower(strings.TrimSpace(alertType))
	if found := t.byType[typ]; found != nil {
		return found
	}
	for _, os := range []string{".windows", ".linux"} {
		if base, ok := strings.CutSuffix(typ, os); ok && t.byType[base] != nil {
			return t.byType[base]
		}
	}
	return t.byName[normalTitle(title)]
}

// normalTitle returns a title in lower case without what products add around
// it: "(Preview)", "PREVIEW -", "[seen multiple times]" and double spaces.
func normalTitle(s string) string {
	s = strings.ToLower(s)
	for _, mark := range []string{"(preview)", "preview -", "[preview]", "[seen multiple times]"} {
		s = strings.ReplaceAll(s, mark, " ")
	}
	return strings.Trim(strings.Join(strings.Fields(s), " "), ". ")
}
