package knowledge

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Confidence in an intent, by what it was read from: each source is weaker than
// the one before it.
const (
	sureSensor     = 0.95 // the sensor said so itself
	sureTactic     = 0.90 // the rule's tags name a tactic
	sureTechnique  = 0.80 // the rule's tags name a technique
	sureType       = 0.75 // the vendor documents it of this type of alert
	sureTitle      = 0.50 // words of the title
	sureHint       = 0.30 // words of the title by which its sensor means little
	sureAct        = 0.30 // what the event did
	sureDirection  = 0.25 // where it came from and went to
	ambiguous      = 0.9  // factor when the source names several
	maxWords       = 32   // of a sensor's list of intents
	maxWordsLength = 4096 // bytes of it
)

// reading is what one source says of an alert. The first tactic or intent is
// what counts most.
type reading struct {
	tactics    []string
	intents    []model.Intent // the sensor's, where it names intents and not tactics
	guess      bool           // too weak to be written down as the alert's tactics
	posture    bool           // a fact before any attack
	confidence float64
	why        string
}

func (r reading) empty() bool { return len(r.tactics) == 0 && len(r.intents) == 0 && !r.posture }

// Classify fills an alert's techniques, tactics, intent, stage and cloud step
// from the strongest source that speaks: the sensor's own words in Raw, the
// rule's tags, the vendor's documentation of the alert type, the vocabulary of its
// sensor, the title, what the event did, and where it came from. Weaker sources
// give less confidence; Why says in words which it was. Raw and Tags are not changed.
//
// All tactics and intents of that source are kept. The primary one is the first
// that the source names, or, where only a technique is known, the first of its
// tactics in the order of the matrix; Stealth and Defense Impairment stand back
// behind any other, since they say how and not what for.
//
// Guessed log-ons have a rule of their own: as long as they fail, someone looks
// for a way in (PreAttack, Reconnaissance, Exposure), and one that succeeds is
// the way in (InitialAccess, Intrusion, Access), unless a process on the estate
// does the guessing.
//
// What nothing tells about has the intent Unknown with confidence 0, and stands
// in the chain where most alerts on a host stand: Exploitation, Access.
func Classify(a *model.Alert) {
	tags := slices.Concat(a.Tags, a.Tactics, a.Techniques, rawWords(a.Raw, "techniques", "mitretechniques", "technique"))
	techniques, named := readTags(tags)

	r := fromSensor(a, techniques)
	for _, read := range []func() reading{
		func() reading { return fromTactics(tags, named) },
		func() reading { return fromTechniques(tags, techniques) },
		func() reading { return fromType(a, techniques) },
		func() reading { return fromWords(a) },
		func() reading { return fromTitle(a) },
		func() reading { return fromAct(a) },
		func() reading { return fromDirection(a) },
	} {
		if !r.empty() {
			break
		}
		r = read()
	}

	a.Techniques = append([]string{}, techniques...)
	a.Tactics = append([]string{}, named...)
	if !r.guess {
		a.Tactics = add(a.Tactics, r.tactics...)
	}
	primary := primaryOf(r.tactics)
	a.Intent = intentOf(r, primary)
	if w, ok := wordsOf(a); ok && r.empty() {
		a.Intent.Why = w.why
	}
	v, ok := ViewOf(primary)
	switch {
	case r.posture:
		a.Stage, a.CloudStep = model.StageReconnaissance, model.StepExposure
	case !ok:
		a.Stage, a.CloudStep = model.StageExploitation, model.StepAccess
	default:
		a.Stage, a.CloudStep = v.Stage, stepIn(v, r.tactics)
	}
	adjust(a, primary)
}

// intentOf puts a reading into Defender's vocabulary: today's names first, the
// older ones that a sensor used kept behind them.
func intentOf(r reading, primary string) model.AlertIntent {
	if r.empty() {
		return model.AlertIntent{Primary: model.IntentUnknown, All: []model.Intent{model.IntentUnknown}, Why: "nothing in the alert says what it is for"}
	}
	all := []model.Intent{IntentOf(primary)}
	for _, t := range r.tactics {
		if i := IntentOf(t); i != model.IntentUnknown {
			all = add(all, i)
		}
	}
	all = add(all, r.intents...)
	return model.AlertIntent{Primary: all[0], All: all, Confidence: r.confidence, Why: r.why}
}

// stepIn returns the cloud step of a view; a floating one takes that of the
// first tactic beside it that has one.
func stepIn(v View, tactics []string) model.CloudStep {
	if v.Floats {
		for _, t := range tactics {
			if step := StepOf(t, true); step != "" {
				return step
			}
		}
	}
	return v.Step
}

// primaryOf returns the first tactic that does not float, else the first.
func primaryOf(tactics []string) string {
	for _, t := range tactics {
		if !Floats(t) {
			return t
		}
	}
	if len(tactics) > 0 {
		return tactics[0]
	}
	return ""
}

// primaryTactic is primaryOf where no order was given: that of the matrix counts.
func primaryTactic(tactics []string) string {
	return primaryOf(slices.SortedFunc(slices.Values(tactics), func(a, b string) int { return order(a) - order(b) }))
}

func fromSensor(a *model.Alert, techniques []string) reading {
	words := rawWords(a.Raw, "intent", "intents", "killchainintent", "killchain", "tactics", "tactic", "mitretactics")
	r := reading{tactics: readTactics(words, techniques), confidence: sureSensor}
	for _, w := range words {
		if i, ok := Intent(w); ok && i != model.IntentUnknown {
			r.intents = add(r.intents, i)
		}
		if strings.EqualFold(w, "exposure") { // no vocabulary has a word for it; scanners are mapped to this one
			r.posture = true
		}
	}
	if r.posture {
		return reading{posture: true, confidence: sureSensor, why: "the sensor tells of an exposure, not of an act"}
	}
	if r.empty() {
		return reading{}
	}
	if len(r.intents) > 1 {
		r.confidence *= ambiguous
	}
	r.why = "the sensor said " + quote(strings.Join(words, ", "))
	return r
}

func fromTactics(tags, named []string) reading {
	if len(named) == 0 {
		return reading{}
	}
	r := reading{tactics: named, confidence: sureTactic}
	if len(named) > 1 {
		r.confidence *= ambiguous
	}
	primary := primaryOf(named)
	r.why = "tag " + quote(tagOf(tags, func(tag string) bool {
		_, t := readTags([]string{tag})
		return slices.Contains(t, primary) || Floats(primary) && isDefenseEvasion(strings.TrimPrefix(strings.ToLower(tag), "attack."))
	}, primary)) + " on the rule"
	return r
}

func fromTechniques(tags, techniques []string) reading {
	r := reading{confidence: sureTechnique}
	for _, id := range techniques {
		tactics := slices.SortedFunc(slices.Values(TacticsOf(id)), func(a, b string) int { return order(a) - order(b) })
		r.tactics = add(r.tactics, tactics...)
	}
	if r.empty() {
		return reading{}
	}
	if len(r.tactics) > 1 {
		r.confidence *= ambiguous
	}
	primary := primaryOf(r.tactics)
	by := techniques[slices.IndexFunc(techniques, func(id string) bool { return slices.Contains(TacticsOf(id), primary) })]
	r.why = fmt.Sprintf("tag %s on the rule, %s", quote(tagOf(tags, func(tag string) bool {
		ids, _ := readTags([]string{tag})
		return slices.Contains(ids, by)
	}, by)), TechniqueName(by))
	return r
}

// tagOf returns the first tag that means what is asked, or fallback.
func tagOf(tags []string, means func(string) bool, fallback string) string {
	for _, tag := range tags[:min(len(tags), MaxTags)] {
		if means(tag) {
			return tag
		}
	}
	return fallback
}

func fromType(a *model.Alert, techniques []string) reading {
	var typ string
	if words := rawWords(a.Raw, "alerttype"); len(words) > 0 {
		typ = words[0]
	}
	title := a.Rule.Title
	if len(title) > maxWordsLength {
		return reading{}
	}
	r := reading{intents: IntentsOfType(typ, title), confidence: sureType}
	for _, i := range r.intents {
		if t := TacticOfIntent(i, techniques); t != "" {
			r.tactics = add(r.tactics, t)
		}
	}
	if r.empty() {
		return reading{}
	}
	if len(r.intents) > 1 {
		r.confidence *= ambiguous
	}
	if typ == "" {
		typ = title
	}
	r.why = "Microsoft documents " + string(r.intents[0]) + " of the alert " + quote(typ)
	return r
}

// wordsOf returns what the vocabulary of the alert's sensor says of it.
func wordsOf(a *model.Alert) (sensorWord, bool) {
	return readSensor(a.Product, a.Rule.Title[:min(len(a.Rule.Title), maxWordsLength)])
}

func fromWords(a *model.Alert) reading {
	w, ok := wordsOf(a)
	if !ok || w.tactic == "" {
		return reading{}
	}
	r := reading{tactics: []string{w.tactic}, guess: w.hint, confidence: sureTitle, why: "the sensor's words " + quote(w.words) + ": " + w.why}
	if w.hint {
		r.confidence = sureHint
	}
	return r
}

func fromTitle(a *model.Alert) reading {
	if w, ok := wordsOf(a); ok && w.tactic == "" {
		return reading{} // its sensor means nothing by these words
	}
	title := a.Rule.Title
	p, ok := readTitle(title[:min(len(title), maxWordsLength)])
	if !ok {
		return reading{}
	}
	r := reading{posture: p.tactic == "", confidence: sureTitle, why: "the title says " + quote(p.words)}
	if !r.posture {
		r.tactics = []string{p.tactic}
	}
	return r
}

// fromAct reads the one thing that some acts are mostly done for when something
// raised an alert about them.
func fromAct(a *model.Alert) reading {
	var tactic string
	switch a.Act {
	case model.ActProcessStart, model.ActScript:
		tactic = Execution
	case model.ActServiceInstall, model.ActTaskCreate, model.ActAccountChange, model.ActRegistrySet, model.ActKeyIssued:
		tactic = Persistence
	case model.ActInject, model.ActImageLoad, model.ActFileDelete:
		tactic = Stealth
	case model.ActLogCleared, model.ActConfigChange:
		tactic = DefenseImpairment
	case model.ActProcessAccess, model.ActTicket:
		tactic = CredentialAccess
	case model.ActObjectList:
		tactic = Discovery
	case model.ActRemoteExec, model.ActExplicitCreds, model.ActShareAccess, model.ActAssumeRole:
		tactic = LateralMovement
	case model.ActObjectRead, model.ActMailAccess, model.ActFileRead:
		tactic = Collection
	case model.ActObjectDelete, model.ActObjectWrite:
		tactic = Impact
	case model.ActDNS:
		tactic = CommandAndControl
	default:
		return reading{}
	}
	return reading{tactics: []string{tactic}, guess: true, confidence: sureAct,
		why: "the event is a " + strings.ReplaceAll(a.Act.String(), "_", " ") + ", mostly used for " + tactic}
}

func fromDirection(a *model.Alert) reading {
	src, fromOutside, haveSrc := address(a, model.Src)
	dst, toOutside, haveDst := address(a, model.Dst)
	r := reading{guess: true, confidence: sureDirection}
	switch {
	case haveSrc && fromOutside && a.Act == model.ActLogon:
		r.tactics, r.why = []string{InitialAccess}, "log-on from the internet ("+src+")"
	case haveSrc && fromOutside:
		r.tactics, r.why = []string{Reconnaissance}, "inbound from the internet ("+src+")"
	case haveDst && toOutside:
		r.tactics, r.why = []string{CommandAndControl}, "outbound to the internet ("+dst+")"
	case haveSrc && haveDst && src != dst:
		r.tactics, r.why = []string{LateralMovement}, "from inside to inside ("+src+" to "+dst+")"
	default:
		return reading{}
	}
	return r
}

// address returns the alert's address in that role and whether it is outside:
// one that the internet routes.
func address(a *model.Alert, role model.Role) (text string, outside, ok bool) {
	e, ok := a.Find(model.IP, role)
	if !ok {
		return "", false, false
	}
	ip, err := netip.ParseAddr(e.Value)
	if err != nil {
		return "", false, false
	}
	ip = ip.Unmap()
	return ip.String(), ip.IsGlobalUnicast() && !ip.IsPrivate(), true
}

// adjust applies what the situation says beyond the tactic.
func adjust(a *model.Alert, primary string) {
	because := func(why string) { a.Intent.Why += "; " + why }
	switch {
	case guessesLogons(a):
		if _, inside := a.Find(model.Process, model.Actor); inside {
			return
		}
		if succeeded(a) {
			lead(a, model.IntentInitialAccess)
			a.Stage, a.CloudStep = model.StageIntrusion, model.StepAccess
			because("the guessed log-on succeeded")
		} else {
			lead(a, model.IntentPreAttack)
			a.Stage, a.CloudStep = model.StageReconnaissance, model.StepExposure
			because("attempts at the door that do not show success")
		}
	case primary == Discovery:
		_, outside, _ := address(a, model.Src)
		_, user := a.Find(model.User, model.Actor)
		_, process := a.Find(model.Process, model.Actor)
		if outside && !user && !process {
			a.Stage, a.CloudStep = model.StageReconnaissance, model.StepExposure
			because("seen from outside, with no account")
		}
	case primary == DefenseImpairment:
		for _, id := range a.Techniques {
			if slices.Contains(TacticsOf(id), Impact) {
				a.Stage = model.StageDenialOfService
				because("it takes a service away")
				return
			}
		}
	}
}

// lead makes i the primary intent.
func lead(a *model.Alert, i model.Intent) {
	a.Intent.Primary = i
	a.Intent.All = add([]model.Intent{i}, a.Intent.All...)
}

// guessesLogons says whether an alert is about guessing passwords.
func guessesLogons(a *model.Alert) bool {
	for _, id := range a.Techniques {
		if id == "T1110" || parentOf(id) == "T1110" {
			return id != "T1110.002" // cracking happens on the attacker's side
		}
	}
	if len(a.Techniques) > 0 || len(a.Rule.Title) > maxWordsLength {
		return false
	}
	title := normalTitle(a.Rule.Title)
	for _, words := range []string{"brute force", "brute-force", "bruteforce", "password spray", "password guess"} {
		if holds(title, words) {
			return true
		}
	}
	return false
}

// succeeded says whether guessing got in: by the act where there is one, else by
// the words of the title.
func succeeded(a *model.Alert) bool {
	switch a.Act {
	case model.ActLogon:
		return true
	case model.ActLogonFailed:
		return false
	}
	title := normalTitle(a.Rule.Title[:min(len(a.Rule.Title), maxWordsLength)])
	return startsWord(title, "success") || startsWord(title, "succeed")
}

// rawWords returns the words of the sensor's own fields with these names
// (squeezed), in the forms products write: one word, a list in JSON, a JSON text
// in a string, or words between commas.
func rawWords(raw map[string]string, names ...string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if slices.Contains(names, squeeze(key)) && len(raw[key]) <= maxWordsLength {
			out = append(out, splitWords(raw[key])...)
		}
	}
	return out[:min(len(out), maxWords)]
}

func splitWords(s string) []string {
	s = strings.TrimSpace(s)
	var inner string
	if strings.HasPrefix(s, `"`) && json.Unmarshal([]byte(s), &inner) == nil {
		s = strings.TrimSpace(inner)
	}
	var words []string
	if strings.HasPrefix(s, "[") && json.Unmarshal([]byte(s), &words) == nil {
		return words
	}
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || r == '|' }) {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

// quote shows words of a sensor or rule in a sentence, short and without
// anything a terminal would act on.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}
