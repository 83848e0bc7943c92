package casebook

// groups are alerts that decisions join, and which of these groups decisions keep
// apart. Decisions come latest first; one that contradicts those taken in before is
// refused, so that at any time all that was taken in holds.
type groups struct {
	of    map[string]int // alert to its group's number, or to one that was joined to it
	up    []int          // by number: the group it was joined to, itself if none; 0 is no group
	size  []int
	foes  []map[int]*entry // by number: the groups it is kept apart from, and by which decision
	pairs int
}

func newGroups() groups {
	return groups{of: map[string]int{}, up: []int{0}, size: []int{0}, foes: []map[int]*entry{nil}}
}

// number returns the group of an alert, 0 if it has none.
func (g *groups) number(alert string) int {
	n := g.of[alert]
	for n != 0 && g.up[n] != n {
		n = g.up[n] // at most log n steps: the smaller is always joined to the larger
	}
	return n
}

// open returns the group of an alert, making it of the alert alone if there is none.
func (g *groups) open(alert string) int {
	if n := g.number(alert); n != 0 {
		return n
	}
	n := len(g.up)
	g.of[alert] = n
	g.up, g.size, g.foes = append(g.up, n), append(g.size, 1), append(g.foes, nil)
	return n
}

// barred says whether two groups are kept apart.
func (g *groups) barred(a, b int) bool {
	return a > 0 && b > 0 && a < len(g.foes) && g.foes[a][b] != nil
}

// joined stands for decisions that only together join two alerts.
func joined() *entry { return &entry{} }

// apart keeps two alerts apart. If decisions before join them it does not, and
// returns what does; nil means that there are too many.
func (g *groups) apart(a, b string, x *entry) (*entry, bool) {
	if g.pairs >= maxPairs {
		return nil, false
	}
	ga, gb := g.open(a), g.open(b)
	if ga == gb {
		return joined(), false
	}
	g.pairs++
	g.foe(ga, gb, x)
	g.foe(gb, ga, x)
	return nil, true
}

func (g *groups) foe(a, b int, x *entry) {
	if g.foes[a] == nil {
		g.foes[a] = map[int]*entry{}
	}
	if g.foes[a][b] == nil {
		g.foes[a][b] = x
	}
}

// together joins two alerts. If a decision before keeps them apart it does not, and
// returns that one; nil means that there are too many.
func (g *groups) together(a, b string) (*entry, bool) {
	if g.pairs >= maxPairs {
		return nil, false
	}
	ga, gb := g.open(a), g.open(b)
	if o := g.foes[ga][gb]; o != nil {
		return o, false
	}
	g.pairs++
	if ga == gb {
		return nil, true
	}
	if g.size[ga] < g.size[gb] || g.size[ga] == g.size[gb] && gb < ga {
		ga, gb = gb, ga
	}
	g.up[gb] = ga
	g.size[ga] += g.size[gb]
	for n, o := range g.foes[gb] { // each ends under its own number, so their order does not matter
		delete(g.foes[n], gb)
		g.foe(ga, n, o)
		g.foe(n, ga, o)
	}
	g.foes[gb] = nil
	return nil, true
}
