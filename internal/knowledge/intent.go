package knowledge

import (
	"sync"

	"github.com/catena-sec/catena/internal/model"
)

// A View is what one tactic means in the three other vocabularies.
type View struct {
	Tactic string
	Intent model.Intent
	Stage  model.Stage
	Step   model.CloudStep // on the first resource; see Later and Floats
	Later  model.CloudStep // on any further resource
	// Floats marks tactics without a cloud step of their own: a story gives such
	// an act the step of the nearest one on the same entity. Step then holds what
	// stands when there is none near.
	Floats bool
	Why    string // why stage and step are what they are
}

// Views returns the mapping of every tactic, in the order of the matrix. There is
// no official one: Defender's intents correspond by name, stages and cloud steps
// are our reading, with the reason beside each.
func Views() []View { return append([]View(nil), views()...) }

var views = sync.OnceValue(func() []View {
	return []View{
		{Reconnaissance, model.IntentPreAttack, model.StageReconnaissance, model.StepExposure, model.StepExposure, false,
			"looking for a way in happens before the first resource is entered"},
		{ResourceDevelopment, model.IntentUnknown, model.StageReconnaissance, model.StepExposure, model.StepExposure, false,
			"the attacker prepares on his own side; Defender has no intent for it, PreAttack is nearest"},
		{InitialAccess, model.IntentInitialAccess, model.StageIntrusion, model.StepAccess, model.StepAccess, false,
			"the first foothold"},
		{Execution, model.IntentExecution, model.StageExploitation, model.StepAccess, model.StepAccess, false,
			"attacker-controlled code runs on what was entered"},
		{Persistence, model.IntentPersistence, model.StageExploitation, model.StepAccess, model.StepAccess, false,
			"the foothold is made to last"},
		{PrivilegeEscalation, model.IntentPrivilegeEscalation, model.StagePrivilegeEscalation, model.StepAccess, model.StepLateralMovement, false,
			"higher rights complete the access on the first resource and widen it on every other"},
		{Stealth, model.IntentDefenseEvasion, model.StageObfuscation, model.StepAccess, model.StepAccess, true,
			"hiding accompanies every step"},
		{DefenseImpairment, model.IntentDefenseEvasion, model.StageObfuscation, model.StepAccess, model.StepAccess, true,
			"weakening defences accompanies every step"},
		{CredentialAccess, model.IntentCredentialAccess, model.StagePrivilegeEscalation, model.StepLateralMovement, model.StepLateralMovement, false,
			"stolen credentials give more rights and open the next resource"},
		{Discovery, model.IntentDiscovery, model.StageLateralMovement, model.StepLateralMovement, model.StepLateralMovement, false,
			"who looks around inside looks for where to go next"},
		{LateralMovement, model.IntentLateralMovement, model.StageLateralMovement, model.StepLateralMovement, model.StepLateralMovement, false,
			"another system is reached"},
		{Collection, model.IntentCollection, model.StageExfiltration, model.StepActions, model.StepActions, false,
			"data is gathered to be taken"},
		{CommandAndControl, model.IntentCommandAndControl, model.StageExploitation, model.StepAccess, model.StepAccess, false,
			"the control channel belongs to the foothold; what is launched through it are other acts"},
		{Exfiltration, model.IntentExfiltration, model.StageExfiltration, model.StepActions, model.StepActions, false,
			"data is taken out"},
		{Impact, model.IntentImpact, model.StageDenialOfService, model.StepActions, model.StepActions, false,
			"availability or integrity is harmed"},
	}
})

// ViewOf returns the view of a tactic, by any word Tactic understands.
func ViewOf(tactic string) (View, bool) {
	t, ok := Tactic(tactic)
	if !ok {
		return View{}, false
	}
	return views()[t.Order], true
}

// IntentOf returns Defender's intent for a tactic, Unknown for none.
func IntentOf(tactic string) model.Intent {
	if v, ok := ViewOf(tactic); ok {
		return v.Intent
	}
	return model.IntentUnknown
}

// StageOf returns the stage of the 8-stage chain for a tactic, empty for none.
func StageOf(tactic string) model.Stage {
	v, _ := ViewOf(tactic)
	return v.Stage
}

// StepOf returns the cloud step of a tactic, first saying whether the act is on
// the first resource of its incident. It is empty for tactics that float and for
// words that are no tactic: take the step of the nearest act on the same entity.
func StepOf(tactic string, first bool) model.CloudStep {
	v, ok := ViewOf(tactic)
	switch {
	case !ok || v.Floats:
		return ""
	case first:
		return v.Step
	}
	return v.Later
}

// Floats says whether a tactic takes its cloud step from its neighbours.
func Floats(tactic string) bool {
	v, ok := ViewOf(tactic)
	return ok && v.Floats
}

// Intents returns Defender's 16 intents.
func Intents() []model.Intent {
	return []model.Intent{model.IntentUnknown, model.IntentPreAttack, model.IntentInitialAccess, model.IntentPersistence,
		model.IntentPrivilegeEscalation, model.IntentDefenseEvasion, model.IntentCredentialAccess, model.IntentDiscovery,
		model.IntentLateralMovement, model.IntentExecution, model.IntentCollection, model.IntentExfiltration,
		model.IntentCommandAndControl, model.IntentImpact, model.IntentProbing, model.IntentExploitation}
}

// TacticOfIntent returns the tactic that an intent stands for, empty for Unknown.
// Techniques tell which successor of Defense Evasion is meant.
func TacticOfIntent(i model.Intent, techniques []string) string {
	if i == model.IntentDefenseEvasion {
		return evasionBy(techniques)[0]
	}
	if t, ok := Tactic(string(i)); ok {
		return t.ShortName
	}
	return ""
}

// Intent understands what products call an intent: Defender's values in any
// spelling, and names of tactics. It reports false for words that are neither.
func Intent(word string) (model.Intent, bool) {
	w := squeeze(word)
	for _, i := range Intents() {
		if squeeze(string(i)) == w {
			return i, true
		}
	}
	if t, ok := Tactic(word); ok {
		return IntentOf(t.ShortName), true
	}
	return "", false
}
