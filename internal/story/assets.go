package story

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// An Asset is a thing that the user calls critical, by one or more names.
type Asset struct {
	Name        string
	Kind        string // as the user says: see AssetKinds
	Values      []string
	Why         string
	Owner       string
	Criticality string
}

// AssetKinds are the words for an asset and the types of entities that each stands
// for.
func AssetKinds() map[string][]model.EntityType {
	return map[string][]model.EntityType{
		"host": {model.Host}, "account": {model.User}, "role": {model.IAMRole}, "key": {model.AccessKey}, "mailbox": {model.Mailbox}, "app": {model.App},
		"bucket": {model.Resource}, "database": {model.Resource}, "table": {model.Resource}, "secret": {model.Resource}, "resource": {model.Resource},
		"container": {model.Container}, "pod": {model.Pod}, "namespace": {model.Namespace},
	}
}

// storesData says whether an asset is one from which data are read, so that only
// records of reads tell whether they were.
func (a *Asset) storesData() bool {
	switch a.Kind {
	case "bucket", "database", "table", "secret", "mailbox":
		return true
	}
	return false
}

// Assets are the critical assets of a run, with what the evidence holds of each. It
// observes every act once, in the order of time, and is not safe for concurrent use.
type Assets struct {
	list  []Asset
	forms map[string][]int // how an entity may name an asset, to the assets
	seen  []coverage
	known map[model.EntityKey][]int // answers of of, bounded
}

// maxKnown bounds the answers that are remembered.
const maxKnown = 1 << 15

// coverage is what the evidence holds of one asset.
type coverage struct {
	own     int       // records that would show what happens to it
	named   int       // other records that name it
	first   time.Time // of the own ones
	last    time.Time
	hours   []int64 // with own records, ascending
	formats []string
	reads   bool // records of reads are among them
}

// Bounds of what is kept of one asset.
const (
	maxCoverHours   = 24 * 400
	maxCoverFormats = 6
)

// NewAssets returns the assets ready to observe.
func NewAssets(list []Asset) *Assets {
	a := &Assets{list: list, forms: map[string][]int{}, seen: make([]coverage, len(list)), known: map[model.EntityKey][]int{}}
	for i, x := range list {
		for _, v := range x.Values {
			for _, t := range AssetKinds()[x.Kind] {
				for _, f := range wantedForms(t, strings.ToLower(v)) {
					if !slices.Contains(a.forms[f], i) {
						a.forms[f] = append(a.forms[f], i)
					}
				}
			}
		}
	}
	return a
}

// Len returns how many assets there are; nil has none.
func (a *Assets) Len() int {
	if a == nil {
		return 0
	}
	return len(a.list)
}

// wantedForms are the forms of the name that a user gave. A short name of a host
// means that of any domain, an account without domain likewise.
func wantedForms(t model.EntityType, v string) []string {
	switch t {
	case model.Host:
		if address(v) {
			return []string{"ip:" + v, "host:" + v}
		}
		if s := short(v); s != v {
			return []string{"host:" + v, "host:" + s}
		}
		return []string{"host:" + v, "host*" + v}
	case model.User:
		if d, n, ok := splitAccount(v); ok {
			return []string{"user:" + v, "user:" + short(d) + `\` + n}
		}
		return []string{"user:" + v, "user*" + v}
	case model.Resource:
		forms := []string{"resource:" + v}
		if s := bare(v); s != v {
			forms = append(forms, "resource:"+s)
		}
		return forms
	}
	return []string{string(t) + ":" + v}
}

// givenForms are the forms of the name of an entity of the evidence.
func givenForms(k model.EntityKey) []string {
	v := strings.ToLower(k.Value)
	switch k.Type {
	case model.IP:
		return []string{"ip:" + v}
	case model.Host:
		if s := short(v); s != v {
			return []string{"host:" + v, "host*" + s}
		}
		return []string{"host:" + v, "host*" + v}
	case model.User:
		if d, n, ok := splitAccount(v); ok {
			return []string{"user:" + v, "user:" + short(d) + `\` + n, "user*" + n}
		}
		return []string{"user:" + v, "user*" + v[strings.LastIndexByte(v, '/')+1:]}
	case model.Resource:
		forms := []string{"resource:" + v}
		b := bare(v)
		for range maxPathForms { // of an object, what it lies in
			forms = append(forms, "resource:"+b)
			i := strings.LastIndexByte(b, '/')
			if i <= 0 {
				break
			}
			b = b[:i]
		}
		return forms
	}
	return []string{string(k.Type) + ":" + v}
}

// maxPathForms is how far up from an object its store is looked for.
const maxPathForms = 12

// bare takes off what a cloud puts before the name of a resource.
func bare(v string) string {
	if strings.HasPrefix(v, "arn:") {
		if parts := strings.SplitN(v, ":", 6); len(parts) == 6 { // partition, service, region, account, resource
			return parts[5]
		}
	}
	for _, scheme := range []string{"s3://", "gs://", "https://"} {
		if rest, ok := strings.CutPrefix(v, scheme); ok {
			return strings.TrimSuffix(rest, "/")
		}
	}
	return v
}

func address(v string) bool {
	_, err := netip.ParseAddr(v)
	return err == nil
}

// splitAccount splits domain\name and name@domain.
func splitAccount(v string) (domain, name string, ok bool) {
	if strings.HasPrefix(v, "arn:") {
		return "", "", false
	}
	if i := strings.IndexByte(v, '\\'); i > 0 && i < len(v)-1 {
		return v[:i], v[i+1:], true
	}
	if i := strings.LastIndexByte(v, '@'); i > 0 && i < len(v)-1 {
		return v[i+1:], v[:i], true
	}
	return "", "", false
}

// of returns the numbers of the assets that an entity is, or lies in.
func (a *Assets) of(k model.EntityKey) []int {
	if out, ok := a.known[k]; ok {
		return out
	}
	var out []int
	for _, f := range givenForms(k) {
		for _, i := range a.forms[f] {
			if !slices.Contains(out, i) {
				out = append(out, i)
			}
		}
	}
	if len(a.known) >= maxKnown {
		clear(a.known)
	}
	a.known[k] = out
	return out
}

// Observe counts one act for the assets that it is of or that it names.
func (a *Assets) Observe(o *model.Observation) {
	var done []int
	if o.Host != "" {
		for _, i := range a.of(model.EntityKey{Type: model.Host, Value: o.Host}) {
			a.seen[i].cover(o)
			done = append(done, i)
		}
	}
	for _, e := range o.Entities {
		switch e.Type {
		case model.Process, model.File, model.Hash, model.Domain, model.URL:
			continue // never an asset
		}
		for _, i := range a.of(e.Key()) {
			if slices.Contains(done, i) {
				continue
			}
			done = append(done, i)
			c := &a.seen[i]
			if e.Role == model.Sensor || a.list[i].Kind == "host" { // what others say of a host shows little of what happens on it
				c.named++
				continue
			}
			c.cover(o)
			switch o.Act {
			case model.ActObjectRead, model.ActObjectWrite, model.ActObjectDelete, model.ActMailAccess:
				c.reads = true
			}
		}
	}
}

func (c *coverage) cover(o *model.Observation) {
	c.own++
	if c.first.IsZero() || o.Time.Before(c.first) {
		c.first = o.Time
	}
	if o.Time.After(c.last) {
		c.last = o.Time
	}
	if h := o.Time.Unix() / 3600; len(c.hours) < maxCoverHours && (len(c.hours) == 0 || h > c.hours[len(c.hours)-1]) {
		c.hours = append(c.hours, h)
	}
	if len(c.formats) < maxCoverFormats && !slices.Contains(c.formats, o.Format) {
		c.formats = append(c.formats, o.Format)
	}
}

// during returns in how many hours between two times there are own records, and how
// many hours those are.
func (c *coverage) during(first, last time.Time) (with, of int64) {
	from, to := first.Unix()/3600, last.Unix()/3600
	i, _ := slices.BinarySearch(c.hours, from)
	for ; i < len(c.hours) && c.hours[i] <= to; i++ {
		with++
	}
	return with, to - from + 1
}
