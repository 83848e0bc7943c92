package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// What one picture shows at most.
const (
	maxNodes   = 300 // the rest is counted in Graph.Hidden
	maxEdges   = 900
	maxLanes   = 24   // the last one gathers all others
	maxSinks   = 12   // things one alert acts on
	foldLeaves = 4    // so many or more like leaves of one node become one node
	maxTitle   = 2000 // bytes of a tooltip
	maxRows    = 5    // nodes above each other in one lane and column
)

// Sizes of the picture, in pixels.
const (
	nodeWidth  = 158
	nodeHeight = 40
	colWidth   = 192
	rowHeight  = 54
	lanePad    = 12
	laneHead   = 150
	edgeBend   = 24
)

// A Graph is an incident's attack as a picture: what acted on what. Columns are
// the order of first appearance, so that time runs to the right; lanes are hosts
// and, above and below them, the outside, accounts and cloud resources. The same
// incident always gives the same picture.
type Graph struct {
	Width, Height int // pixels
	Lanes         []Lane
	Nodes         []Node
	Edges         []Edge
	Hidden        int // nodes left out, because a picture of more says less
}

// A Lane is a horizontal band of a Graph.
type Lane struct {
	Label     string
	Y, Height int
}

// A Node is an entity, or several alike ones.
type Node struct {
	Key      string // "type:value" of the entity; of the first of several
	Type     model.EntityType
	Label    string // short
	Title    string // in full
	Lane     int    // index into Lanes
	X, Y     int    // left upper corner
	Count    int    // how many entities it stands for
	Root     bool   // where the incident started
	Severity model.Severity
	Step     int // number of the first step that shows it, 0 if none does
}

// An Edge leads from one node to another.
type Edge struct {
	From, To int    // indices into Nodes
	Title    string // the first rule that showed it
	Count    int    // alerts that show it
	Move     bool   // from one host to another
	Path     string // as an SVG path
}

// LayoutGraph lays out an incident. Alerts are looked up by id; those that are
// not there are passed over.
func LayoutGraph(inc *model.Incident, alerts map[string]*model.Alert) Graph {
	g := newGraph(inc)
	step := make(map[string]int)
	for i := range inc.Steps {
		for _, id := range inc.Steps[i].Alerts {
			if _, ok := step[id]; !ok {
				step[id] = inc.Steps[i].N
			}
		}
	}
	moves := inc.Steps
	for _, a := range inOrder(inc.Alerts, alerts) {
		n := step[a.ID]
		var due []move
		for ; len(moves) > 0 && moves[0].N <= n; moves = moves[1:] {
			if m, ok := g.depart(&moves[0]); ok {
				due = append(due, m)
			}
		}
		g.addAlert(a, n)
		g.arrive(due)
	}
	for i := range moves {
		if m, ok := g.depart(&moves[i]); ok {
			g.arrive([]move{m})
		}
	}
	g.markRoot(inc.Root)
	g.fold()
	g.trim()
	return g.place()
}

// inOrder returns the alerts of those ids in order of time.
func inOrder(ids []string, alerts map[string]*model.Alert) []*model.Alert {
	var out []*model.Alert
	for _, id := range ids {
		if a := alerts[id]; a != nil {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b *model.Alert) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID)) })
	return out
}

// A sketch is a graph before it has places: nodes and edges in order of first
// appearance.
type sketch struct {
	nodes []sketchNode
	edges []Edge
	index map[string]int  // entity key to node
	edge  map[[2]int]int  // ends to edge
	hosts map[string]bool // values that are hosts
	// reached says which nodes an edge leads to.
	reached map[int]bool
	byPID   map[string]int    // Alt of a process to its node
	names   map[string]string // entity key to what people call it
	// hidden counts nodes that trim left out.
	hidden int
}

type sketchNode struct {
	Node
	lane string // name of its lane; see laneOf
	gone bool
}

func newGraph(inc *model.Incident) *sketch {
	g := &sketch{index: make(map[string]int), edge: make(map[[2]int]int), reached: make(map[int]bool), byPID: make(map[string]int), hosts: make(map[string]bool), names: make(map[string]string)}
	for _, e := range inc.Entities {
		if e.Type == model.Host {
			g.hosts[e.Value] = true
		}
		if e.Name != "" {
			g.names[string(e.Type)+":"+e.Value] = e.Name
		}
	}
	for i := range inc.Steps {
		if h := inc.Steps[i].Host; h != "" {
			g.hosts[h] = true
		}
	}
	return g
}

// addAlert adds who acted, on what. Those who act form a chain from far to near
// (address, account, key, parent process, process), whose last link acts on
// each thing acted on.
func (g *sketch) addAlert(a *model.Alert, step int) {
	host := alertHost(a)
	node := func(e model.Entity) int { return g.node(e, host, a.Severity, step) }
	last, process, remote := -1, false, false
	var subjectHost *model.Entity
	link := func(to int) {
		if last >= 0 {
			g.link(last, to, a.Rule.Title, false)
		}
	}
	for _, role := range []model.Role{model.Src, model.Actor, model.Parent, model.Subject} {
		for _, t := range []model.EntityType{model.IP, model.Host, model.Domain, model.User, model.IAMRole, model.App, model.AccessKey, model.Container, model.Pod, model.Process} {
			e, ok := a.Find(t, role)
			switch {
			case !ok, t == model.User && builtIn(e.Value):
				continue
			case t == model.Host && role == model.Subject:
				subjectHost = &e
				continue
			case role == model.Src && outbound(a): // its own address, on the way out
				continue
			case role == model.Src && remote: // the address and the name of one source
				continue
			}
			n := node(e)
			// An account's first programs are worth an edge; those that another program
			// started hang below it already.
			if last < 0 || t != model.Process || g.nodes[last].Type == model.Process || !g.reached[n] {
				link(n)
			}
			last = n
			process = process || t == model.Process
			remote = remote || role == model.Src
		}
	}
	sinks := 0
	for _, e := range a.Entities {
		if !actedOn(e) || sinks == maxSinks || (process && e.Type == model.File && isImage(a, e)) {
			continue
		}
		sinks++
		link(node(e))
	}
	if subjectHost != nil && (last < 0 || (remote && !process)) {
		link(node(*subjectHost))
	}
}

// outbound reports whether an alert is of a process reaching out: its source is
// then the host it runs on.
func outbound(a *model.Alert) bool {
	process, away := false, false
	for _, e := range a.Entities {
		process = process || e.Type == model.Process
		away = away || e.Role == model.Dst
	}
	return process && away
}

// actedOn reports whether an entity is what an alert's act was done to.
func actedOn(e model.Entity) bool {
	switch e.Role {
	case model.Target, model.Object, model.Dst:
	default:
		return false
	}
	return e.Type != model.Hash && e.Type != model.Session && (e.Type != model.User || !builtIn(e.Value))
}

// isImage reports whether a file is the program of the process that started.
func isImage(a *model.Alert, f model.Entity) bool {
	p, ok := a.Find(model.Process, model.Subject)
	return ok && strings.EqualFold(baseName(p.Label()), baseName(f.Label()))
}

// builtIn reports whether an account is one that every machine has: it says
// nothing in a picture.
func builtIn(user string) bool {
	switch user[strings.LastIndexByte(user, '\\')+1:] {
	case "system", "local service", "network service", "anonymous logon", "-", "":
		return true
	}
	return strings.HasSuffix(user, "$")
}

// alertHost returns the host an alert is about.
func alertHost(a *model.Alert) string {
	for _, r := range []model.Role{model.Subject, model.Target, model.Object} {
		if e, ok := a.Find(model.Host, r); ok {
			return e.Value
		}
	}
	return a.Host
}

// A move is a step from one host to another, waiting for what shows the arrival.
type move struct {
	from int // node it leaves from
	size int // nodes there were when it left
	step *model.Step
}

// depart starts the move that a step says, if any: from what was seen last on the
// host it leaves.
func (g *sketch) depart(s *model.Step) (move, bool) {
	if s.From == "" || s.To == "" || s.From == s.To || !g.hosts[s.From] || !g.hosts[s.To] {
		return move{}, false
	}
	from := -1
	for _, e := range g.edges { // the last program there that did something
		if n := &g.nodes[e.From]; n.lane == laneHost+s.From && n.Type == model.Process && e.From > from {
			from = e.From
		}
	}
	if from < 0 {
		from = g.node(model.Entity{Type: model.Host, Value: s.From}, "", "", 0)
	}
	return move{from, len(g.nodes), s}, true
}

// arrive ends moves at the first thing new on the host they lead to.
func (g *sketch) arrive(due []move) {
	for _, m := range due {
		to := -1
		for i := m.size; i < len(g.nodes) && to < 0; i++ {
			if g.nodes[i].lane == laneHost+m.step.To {
				to = i
			}
		}
		if to < 0 {
			to = g.node(model.Entity{Type: model.Host, Value: m.step.To}, "", "", m.step.N)
		}
		g.link(m.from, to, m.step.Summary, true)
	}
}

// markRoot marks the node where it started, and adds it if nothing showed it.
func (g *sketch) markRoot(r model.Root) {
	t, v := splitKey(r.Entity)
	if t == "" {
		return
	}
	g.nodes[g.node(model.Entity{Type: t, Value: v, Name: r.Process}, r.Host, "", 0)].Root = true
}

// node returns the index of an entity's node, adding it when it is new.
func (g *sketch) node(e model.Entity, host string, sev model.Severity, step int) int {
	key := e.Key().String()
	i, ok := g.index[key]
	if !ok {
		i, ok = g.sameProcess(e)
	}
	if !ok {
		i = len(g.nodes)
		g.index[key] = i
		if e.Type == model.Process && e.Alt != "" {
			g.byPID[e.Alt] = i
		}
		if e.Name == "" || e.Type != model.Process {
			e.Name = cmp.Or(g.names[key], e.Name)
		}
		g.nodes = append(g.nodes, sketchNode{Node: Node{Key: key, Type: e.Type, Label: baseName(cutHost(e)), Title: keyWords(string(e.Type) + ":" + e.Label()), Count: 1}, lane: g.laneOf(e, host)})
	}
	n := &g.nodes[i]
	if sev.Rank() > n.Severity.Rank() {
		n.Severity = sev
	}
	if step > 0 && (n.Step == 0 || step < n.Step) {
		n.Step = step
	}
	return i
}

// sameProcess finds the node of a process that another source names otherwise:
// one knows its GUID, the other only "<host>:<pid>". A number is used again, so
// the program must be the same too.
func (g *sketch) sameProcess(e model.Entity) (int, bool) {
	if e.Type != model.Process {
		return 0, false
	}
	i, ok := g.byPID[e.Value]
	if e.Alt != "" {
		i, ok = g.index[string(model.Process)+":"+e.Alt]
	}
	return i, ok && strings.EqualFold(g.nodes[i].Label, baseName(e.Label()))
}

// cutHost drops the "<host>:" before a file's path.
func cutHost(e model.Entity) string {
	s := e.Label()
	if e.Type == model.File {
		if _, p, ok := strings.Cut(s, ":"); ok && len(p) > 1 {
			return p
		}
	}
	return s
}

// The lanes that are no host; a host's lane is "2" and its name, so that names
// order the groups.
const (
	laneOutside = "0"
	laneAccount = "1"
	laneHost    = "2"
	laneKeys    = "3"
	laneThings  = "4"
	laneOther   = "5"
)

// laneOf says where an entity belongs.
func (g *sketch) laneOf(e model.Entity, host string) string {
	switch e.Type {
	case model.IP, model.Domain, model.URL:
		return laneOutside
	case model.User, model.Mailbox:
		return laneAccount
	case model.AccessKey, model.IAMRole, model.Session:
		return laneKeys
	case model.Resource, model.Namespace:
		return laneThings
	case model.Host:
		return laneHost + e.Value
	case model.File:
		if h, _, ok := strings.Cut(e.Value, ":"); ok && g.hosts[h] {
			return laneHost + h
		}
	}
	if host == "" {
		return laneThings
	}
	return laneHost + host
}

func laneLabel(name string) string {
	switch name {
	case laneOutside:
		return "Network"
	case laneAccount:
		return "Accounts"
	case laneKeys:
		return "Keys and roles"
	case laneThings:
		return "Resources"
	case laneOther:
		return "Other hosts"
	}
	return name[1:]
}

func (g *sketch) link(from, to int, why string, move bool) {
	if from == to {
		return
	}
	k := [2]int{from, to}
	if i, ok := g.edge[k]; ok {
		g.edges[i].Count++
		g.edges[i].Move = g.edges[i].Move || move
		return
	}
	g.edge[k] = len(g.edges)
	g.reached[to] = true
	g.edges = append(g.edges, Edge{From: from, To: to, Title: why, Count: 1, Move: move})
}

// fold makes one node of those that say the same: first repeats, things of one
// name and type that the same nodes lead to, again and again since folding makes
// new repeats; then the leaves of one type of one node, where they are many.
func (g *sketch) fold() {
	for range 8 {
		if !g.foldBy(2, func(n *sketchNode) string { return n.Label }, false) {
			break
		}
	}
	g.foldBy(foldLeaves, func(*sketchNode) string { return "" }, true)
}

// foldBy folds groups of at least size nodes that have type, lane, name and the
// nodes before them in common, and reports whether there were any.
func (g *sketch) foldBy(size int, name func(*sketchNode) string, leaves bool) bool {
	out, in := make([]int, len(g.nodes)), make([][]int, len(g.nodes))
	for _, e := range g.edges {
		out[e.From]++
		in[e.To] = append(in[e.To], e.From)
	}
	groups := make(map[string][]int)
	var order []string
	for i := range g.nodes {
		n := &g.nodes[i]
		if n.gone || n.Root || len(in[i]) == 0 || n.Type == model.Host || (leaves && out[i] > 0) {
			continue
		}
		slices.Sort(in[i])
		k := fmt.Sprint(n.Type, "\x00", n.lane, "\x00", name(n), "\x00", in[i])
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], i)
	}
	to := make(map[int]int)
	for _, k := range order {
		if m := groups[k]; len(m) >= size {
			g.foldInto(m, leaves)
			for _, i := range m[1:] {
				to[i] = m[0]
			}
		}
	}
	if len(to) > 0 {
		g.redirect(to)
	}
	return len(to) > 0
}

// redirect moves the ends of edges to the nodes that now stand for them.
func (g *sketch) redirect(to map[int]int) {
	old := g.edges
	g.edges = nil
	clear(g.edge)
	for _, e := range old {
		if i, ok := to[e.From]; ok {
			e.From = i
		}
		if i, ok := to[e.To]; ok {
			e.To = i
		}
		if i, ok := g.edge[[2]int{e.From, e.To}]; ok {
			g.edges[i].Count += e.Count
			g.edges[i].Move = g.edges[i].Move || e.Move
		} else if e.From != e.To {
			g.edge[[2]int{e.From, e.To}] = len(g.edges)
			g.edges = append(g.edges, e)
		}
	}
}

// foldInto makes the first of the nodes stand for all.
func (g *sketch) foldInto(members []int, rename bool) {
	first := &g.nodes[members[0]]
	for k, i := range members[1:] {
		n := &g.nodes[i]
		first.Count += n.Count
		if n.Severity.Rank() > first.Severity.Rank() {
			first.Severity = n.Severity
		}
		if n.Step > 0 && (first.Step == 0 || n.Step < first.Step) {
			first.Step = n.Step
		}
		if k < 9 && len(first.Title) < maxTitle && first.Title != n.Title {
			first.Title += "\n" + n.Title
		}
		n.gone = true
	}
	if rename {
		first.Label = plural(int64(first.Count), typeWord(first.Type))
	}
}

func typeWord(t model.EntityType) string {
	switch t {
	case model.IP:
		return "address"
	case model.IAMRole:
		return "cloud role"
	}
	return strings.ReplaceAll(string(t), "_", " ")
}

// trim leaves out what says least until the picture is small enough: nodes of
// few edges, mild and late.
func (g *sketch) trim() {
	degree := make([]int, len(g.nodes))
	for _, e := range g.edges {
		if !g.nodes[e.From].gone && !g.nodes[e.To].gone {
			degree[e.From]++
			degree[e.To]++
		}
	}
	var live []int
	for i := range g.nodes {
		if !g.nodes[i].gone {
			live = append(live, i)
		}
	}
	if len(live) <= maxNodes {
		return
	}
	slices.SortStableFunc(live, func(a, b int) int {
		x, y := &g.nodes[a], &g.nodes[b]
		if x.Root != y.Root {
			if x.Root {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(y.Severity.Rank(), x.Severity.Rank()), cmp.Compare(degree[b], degree[a]), cmp.Compare(a, b))
	})
	for _, i := range live[maxNodes:] {
		g.nodes[i].gone = true
		g.hidden += g.nodes[i].Count
	}
}

// place gives every node its lane, column and row, and every edge its path.
func (g *sketch) place() Graph {
	out := Graph{Hidden: g.hidden}
	lanes, laneIndex := g.lanes()
	moved := make(map[int]int)    // sketch index to index in out
	causes := make(map[int][]int) // sketch index to those of earlier nodes that acted on it
	for _, e := range g.edges {
		if e.From < e.To {
			causes[e.To] = append(causes[e.To], e.From)
		}
	}
	col, row := make(map[int]int), make(map[int]int)
	used := make(map[[3]int]bool) // lane, column, row
	rows := make([]int, len(lanes))
	// A node stands right of all that acted on it, and not left of where the step
	// before its own began, so that time runs to the right and things of one step
	// stand together.
	columns, floor, begin, step := 0, 0, 0, 0
	for _, i := range g.byTime() {
		n := &g.nodes[i]
		lane := laneIndex[n.lane]
		fresh := n.Step > step
		if fresh {
			floor, step = max(floor, begin), n.Step
		}
		column, want := floor, 0
		for _, c := range causes[i] {
			if g.nodes[c].gone {
				continue
			}
			column = max(column, col[c]+1)
			if g.nodes[c].lane == n.lane {
				want = row[c]
			}
		}
		for ; ; column++ {
			if r := freeRow(used, lane, column, want); r >= 0 {
				col[i], row[i] = column, r
				break
			}
		}
		if fresh {
			begin = col[i]
		}
		used[[3]int{lane, col[i], row[i]}] = true
		rows[lane] = max(rows[lane], row[i]+1)
		columns = max(columns, col[i]+1)
		moved[i] = len(out.Nodes)
		n.Lane = lane
		out.Nodes = append(out.Nodes, n.Node)
	}
	y := 0
	for i, name := range lanes {
		h := rows[i]*rowHeight + 2*lanePad
		out.Lanes = append(out.Lanes, Lane{Label: laneLabel(name), Y: y, Height: h})
		y += h
	}
	out.Width, out.Height = laneHead+columns*colWidth+lanePad, y
	for i, k := range moved {
		n := &out.Nodes[k]
		n.X = laneHead + col[i]*colWidth + lanePad
		n.Y = out.Lanes[n.Lane].Y + lanePad + row[i]*rowHeight + (rowHeight-nodeHeight)/2
	}
	for _, e := range g.edges {
		from, ok1 := moved[e.From]
		to, ok2 := moved[e.To]
		if ok1 && ok2 && len(out.Edges) < maxEdges {
			e.From, e.To = from, to
			e.Path = edgePath(&out.Nodes[from], &out.Nodes[to])
			out.Edges = append(out.Edges, e)
		}
	}
	return out
}

// byTime returns the nodes that are left, in order of first appearance. A root
// that nothing led to comes first, whenever it was noticed.
func (g *sketch) byTime() []int {
	var first, order []int
	for i := range g.nodes {
		switch n := &g.nodes[i]; {
		case n.gone:
		case n.Root && !g.reached[i]:
			first = append(first, i)
		default:
			order = append(order, i)
		}
	}
	return append(first, order...)
}

// lanes returns the lanes in use: the outside, accounts, hosts in order of first
// appearance, keys, resources. Hosts beyond maxLanes share one.
func (g *sketch) lanes() (names []string, index map[string]int) {
	seen := make(map[string]bool)
	for _, i := range g.byTime() {
		n := &g.nodes[i]
		if !seen[n.lane] && len(names) >= maxLanes && strings.HasPrefix(n.lane, laneHost) {
			n.lane = laneOther
		}
		if !seen[n.lane] {
			seen[n.lane] = true
			names = append(names, n.lane)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	index = make(map[string]int, len(names))
	for i, n := range names {
		index[n] = i
	}
	return names, index
}

// freeRow returns the wanted row of a cell, else its first free one, -1 if it is full.
func freeRow(used map[[3]int]bool, lane, col, want int) int {
	if !used[[3]int{lane, col, want}] {
		return want
	}
	for r := range maxRows {
		if !used[[3]int{lane, col, r}] {
			return r
		}
	}
	return -1
}

// edgePath draws a curve from the right side of a node to the left side of a
// later one; between nodes of one column from edge to edge, and backwards around.
func edgePath(from, to *Node) string {
	fx, fy := from.X+nodeWidth, from.Y+nodeHeight/2
	tx, ty := to.X, to.Y+nodeHeight/2
	switch {
	case to.X > from.X:
		bend := max((tx-fx)/2, edgeBend)
		return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", fx, fy, fx+bend, fy, tx-bend, ty, tx, ty)
	case to.X == from.X:
		return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", fx, fy, fx+edgeBend, fy, fx+edgeBend, ty, fx, ty)
	}
	down := from.Y + nodeHeight
	up := to.Y + nodeHeight
	mid := max(down, up) + edgeBend
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", from.X+nodeWidth/2, down, from.X+nodeWidth/2, mid, to.X+nodeWidth/2, mid, to.X+nodeWidth/2, up)
}
