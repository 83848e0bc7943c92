package detect

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// What must be known of the estate before a new program says anything.
//
// Whether enough was seen is Good and Turing's question (I. J. Good, Biometrika 40,
// 1953): of all that happens next, the share that never happened before is about
// the number of kinds seen once, divided by all that was seen. As long as new
// things are common, one more tells nothing.
const (
	imageStarts   = 300            // starts seen, one a program, host and hour
	imageHours    = 4 * time.Hour  // history of the host that starts it
	imageDay      = 24 * time.Hour // history of its platform, for what the system brings: people use it by day, timers by night
	imageUnseen   = .01            // share of starts that are expected to be new
	maxImages     = 1 << 16        // programs remembered
	maxImageNames = 1 << 12        // paths whose kind is remembered
	maxPlatforms  = 32
	maxImageHost  = 1 << 14        // hosts remembered
	imageMemory   = 48 * time.Hour // a host that was away longer learns anew
)

// newImage finds a program that no host of the estate ran before.
type newImage struct {
	def    Definition
	images *table[imageSeen]
	hosts  *table[hostSeen]
	names  map[string]string  // the kinds of paths seen, since few paths start again and again
	kinds  map[string]*census // by platform: servers that are few must not be judged by desktops that are many
}

// A census is how much was seen of one platform.
type census struct {
	first  time.Time
	starts int
	once   int // programs seen once
}

type imageSeen struct {
	platform string
	host     string
	hour     int64
	n        int
}

type hostSeen struct{ first, last time.Time }

// NewNewImage finds a program, by its name and the kind of place it lies in, that no
// host of the estate ran before, once enough of the estate is known.
func NewNewImage() Detector {
	return &newImage{images: newTable[imageSeen](maxImages), hosts: newTable[hostSeen](maxImageHost), names: map[string]string{}, kinds: map[string]*census{}, def: Definition{
		Rule: model.RuleInfo{ID: "7e1d4b60-2a8e-4d0c-b6f5-3f0c9a1d2e13", Title: "Program that no host of the estate ran before", Level: model.Low, Source: "builtin"},
		Tags: []string{"attack.execution", "attack.t1204.002"}}}
}

func (n *newImage) Definition() Definition { return n.def }

func (n *newImage) Observe(o *model.Observation) []*model.Alert {
	if o.Act != model.ActProcessStart || o.Host == "" {
		return nil
	}
	p, ok := o.Find(model.Process, model.Subject)
	if !ok || !strings.ContainsAny(p.Name, `\/`) { // a name without its place is another sensor's
		return nil
	}
	host := n.hosts.at(o.Host, o.Time)
	if host.first.IsZero() || o.Time.Sub(host.last) > imageMemory {
		host.first = o.Time
	}
	if o.Time.After(host.last) {
		host.last = o.Time
	}
	platform := o.Source.Product
	c := n.kinds[platform]
	if c == nil {
		if len(n.kinds) >= maxPlatforms {
			return nil
		}
		c = &census{first: o.Time}
		n.kinds[strings.Clone(platform)] = c
	}
	shrunk := n.images.shrunk
	kind := n.kind(p.Name)
	seen := n.images.at(platform+":"+kind, o.Time)
	if n.images.shrunk > shrunk { // some were forgotten: count what is left
		n.recount()
	}
	learned := c.starts >= imageStarts && float64(c.once) <= imageUnseen*float64(c.starts) && o.Time.Sub(host.first) >= imageHours
	if place, _, _ := strings.Cut(kind, ":"); (place == string(pathSystem) || place == string(pathProgram)) && o.Time.Sub(c.first) < imageDay {
		learned = false
	}
	hour := o.Time.Unix() / 3600
	if seen.n > 0 && seen.host == o.Host && seen.hour == hour {
		return nil
	}
	seen.n++
	seen.platform, seen.host, seen.hour = platform, o.Host, hour
	c.starts++
	switch seen.n {
	case 1:
		c.once++
	case 2:
		c.once--
	}
	if seen.n > 1 || !learned {
		return nil
	}
	return []*model.Alert{alertOf(n.def, o)}
}

func (n *newImage) kind(path string) string {
	if k, ok := n.names[path]; ok {
		return k
	}
	if len(n.names) >= maxImageNames {
		clear(n.names)
	}
	k := imageKind(path)
	n.names[strings.Clone(path)] = k
	return k
}

func (n *newImage) recount() {
	for _, c := range n.kinds {
		c.starts, c.once = 0, 0
	}
	for _, e := range n.images.by {
		if e.v.n == 0 {
			continue // the one that begins now
		}
		c := n.kinds[e.v.platform]
		c.starts += e.v.n
		if e.v.n == 1 {
			c.once++
		}
	}
}

// maxImageName bounds the part of a name that tells programs apart.
const maxImageName = 64

// imageKind is a program's name and the kind of place it lies in. Numbers are one,
// since versions and random names change them.
func imageKind(path string) string {
	path = strings.ToLower(path)
	name := path[strings.LastIndexAny(path, `\/`)+1:]
	var b strings.Builder
	b.WriteString(string(placeOf(path)))
	b.WriteByte(':')
	for i, digit := 0, false; i < len(name) && b.Len() < maxImageName; i++ {
		c := name[i]
		if c >= '0' && c <= '9' {
			if !digit {
				b.WriteByte('#')
			}
			digit = true
			continue
		}
		digit = false
		b.WriteByte(c)
	}
	return b.String()
}

// pathKind is what kind of place a program lies in.
type pathKind string

const (
	pathSystem  pathKind = "system"  // the operating system's
	pathProgram pathKind = "program" // installed for all
	pathUser    pathKind = "user"    // where people without rights can write
	pathOther   pathKind = "other"
)

// pathKinds tells places by a part of their path, the surest first.
var pathKinds = [...]struct {
	part string
	kind pathKind
}{
	{`\temp\`, pathUser}, {`\windows\tasks\`, pathUser}, {`\users\`, pathUser}, {`\programdata\`, pathUser}, {`\perflogs\`, pathUser}, {`\$recycle.bin\`, pathUser},
	{`/tmp/`, pathUser}, {`/dev/shm/`, pathUser}, {`/home/`, pathUser}, {`/root/`, pathUser}, {`/run/user/`, pathUser}, {`/memfd:`, pathUser}, {`/var/www/`, pathUser},
	{`\windows\`, pathSystem}, {`%systemroot%`, pathSystem}, {`\systemroot\`, pathSystem},
	{`\program files`, pathProgram}, {`/opt/`, pathProgram}, {`/snap/`, pathProgram},
	{`/bin/`, pathSystem}, {`/sbin/`, pathSystem}, {`/lib/`, pathSystem}, {`/libexec/`, pathSystem}, {`/usr/`, pathSystem},
}

// placeOf returns the kind of place of a program by its path in lower case.
func placeOf(path string) pathKind {
	for _, k := range pathKinds {
		if strings.Contains(path, k.part) {
			return k.kind
		}
	}
	return pathOther
}
