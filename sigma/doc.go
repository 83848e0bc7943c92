// Package sigma reads Sigma rules, correlations and filters and matches them
// against events.
//
// It follows the Sigma specification 2.1 (https://sigmahq.io/sigma-specification/)
// and, where that is silent, the behaviour of pySigma. docs/sigma.md lists what
// is supported and every choice made where the two leave one open.
//
// The work is split so that each part is done once: Parse turns YAML into rules
// and says what is wrong with those it refuses; Compile turns many rules into one
// immutable Set, the plan that tests an event against all of them together; a
// Matcher, one for each goroutine, runs the plan. Between the two, a Pipeline may
// adapt rules to other names of fields and fill their placeholders in; after them,
// one Correlator finds in the ordered stream of matches what only several show.
//
//	rules, err := sigma.Parse("rule.yml", src) // err names what was refused; rules holds the rest
//	set, err := sigma.Compile(rules)
//	m := set.NewMatcher()
//	m.Reset()
//	m.Add(slot, sigma.String, `C:\Windows\System32\whoami.exe`) // set.Fields()[slot] is "Image"
//	for _, i := range m.Match(sigma.LogSource{Product: "windows", Category: "process_creation"}) {
//		fmt.Println(set.Rules()[i].Title)
//	}
package sigma
