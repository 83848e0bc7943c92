package story

import (
	"slices"

	"github.com/catena-sec/catena/internal/model"
)

// Remember tells before the story what is remembered from long before it, by links from
// members of in to alerts of then. Such an alert may be of evidence that is not at hand:
// the sentence names it, and cites it where the incident has it.
func Remember(in *model.Incident, earlier []model.Link) {
	var told []model.Sentence
	for _, l := range earlier {
		cites := []string{l.From}
		if slices.Contains(in.Alerts, l.To) || slices.Contains(in.Context, l.To) {
			cites = append(cites, l.To)
		}
		told = append(told, model.Sentence{Text: line("Remembered: "+l.Detail+".", maxSentence), Cites: cites})
	}
	in.Summary = append(told, in.Summary...)
}
