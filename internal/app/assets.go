package app

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/story"
)

// Bounds of a file of assets.
const (
	maxAssetsFile  = 1 << 20 // bytes
	maxAssets      = 200
	maxAssetValues = 16  // names of one asset
	maxAssetText   = 300 // bytes of one text
)

// ReadAssets reads the critical assets of a file, YAML such as
//
//	assets:
//	  - name: Domain controller
//	    host: [dc01.corp.example, 10.0.0.5]
//	    why: every account can be forged from it
//	    owner: identity team
//	    criticality: critical
//	  - bucket: finance-exports
//
// Each asset has one key that says what it is and how the evidence calls it, by one
// name or several: host, account, role, key, mailbox, app, bucket, database, table,
// secret, resource, container, pod or namespace. All else may be left out. Errors
// name file and line.
func ReadAssets(file string) ([]story.Asset, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	src, err := io.ReadAll(io.LimitReader(f, maxAssetsFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return parseAssets(file, src)
}

// parseAssets is ReadAssets of the text of a file.
func parseAssets(file string, src []byte) ([]story.Asset, error) {
	bad := func(n *yaml.Node, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s", file, n.Line, fmt.Sprintf(format, args...))
	}
	if len(src) > maxAssetsFile {
		return nil, fmt.Errorf("%s: more than %d bytes", file, maxAssetsFile)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:1: no list of assets; want \"assets:\" and below it \"- host: NAME\"", file)
	}
	var list *yaml.Node
	top := doc.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if k := top.Content[i]; k.Value != "assets" || list != nil {
			return nil, bad(k, "%.40q is not known here, or there twice; want assets", k.Value)
		}
		list = top.Content[i+1]
	}
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return nil, bad(top, "assets must be a list of at least one")
	}
	if len(list.Content) > maxAssets {
		return nil, bad(list.Content[maxAssets], "more than %d assets", maxAssets)
	}
	out := make([]story.Asset, 0, len(list.Content))
	for _, n := range list.Content {
		a, err := parseAsset(n, bad)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func parseAsset(n *yaml.Node, bad func(*yaml.Node, string, ...any) error) (story.Asset, error) {
	var a story.Asset
	if n.Kind != yaml.MappingNode {
		return a, bad(n, "an asset is written as \"host: NAME\" or the like")
	}
	text := func(v *yaml.Node) (string, error) {
		s := strings.TrimSpace(v.Value)
		switch {
		case v.Kind != yaml.ScalarNode: // an alias too: it could make a little text much
			return "", bad(v, "want a text")
		case s == "" || v.Tag == "!!null":
			return "", bad(v, "empty")
		case len(s) > maxAssetText:
			return "", bad(v, "longer than %d bytes", maxAssetText)
		case !utf8.ValidString(s):
			return "", bad(v, "not UTF-8")
		}
		return s, nil
	}
	kinds := story.AssetKinds()
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if seen[k.Value] {
			return a, bad(k, "%.40q is there twice", k.Value)
		}
		seen[k.Value] = true
		var to *string
		switch k.Value {
		case "name":
			to = &a.Name
		case "why":
			to = &a.Why
		case "owner":
			to = &a.Owner
		case "criticality":
			to = &a.Criticality
		default:
			if kinds[k.Value] == nil {
				return a, bad(k, "%.40q is not known; want name, why, owner, criticality or one of %s", k.Value, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
			}
			if a.Kind != "" {
				return a, bad(k, "an asset is one thing: it is a %s already; write another asset", a.Kind)
			}
			a.Kind = k.Value
			names := []*yaml.Node{v}
			if v.Kind == yaml.SequenceNode {
				names = v.Content
			}
			if len(names) == 0 || len(names) > maxAssetValues {
				return a, bad(v, "want 1 to %d names", maxAssetValues)
			}
			for _, x := range names {
				s, err := text(x)
				if err != nil {
					return a, err
				}
				a.Values = append(a.Values, s)
			}
			continue
		}
		s, err := text(v)
		if err != nil {
			return a, err
		}
		*to = s
	}
	if a.Kind == "" {
		return a, bad(n, "what is it? Want one of %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	if a.Name == "" {
		a.Name = a.Values[0]
	}
	switch a.Criticality {
	case "", "critical", "high", "medium", "low":
	default:
		return a, bad(n, "criticality %.40q: want critical, high, medium or low", a.Criticality)
	}
	return a, nil
}

// An insight is what a run gathers beside memory for the assurance of its
// incidents: what the evidence is of, what leads where, and how much was moved.
type insight struct {
	sources   map[model.LogSource]bool
	hosts     map[string]bool
	assets    *story.Assets
	ways      *graph.Ways
	transfers *graph.Transfers
}

func (a *App) newInsight(m *graph.Memory) *insight {
	x := &insight{sources: map[model.LogSource]bool{}, hosts: map[string]bool{}, transfers: graph.NewTransfers(m)}
	if len(a.opt.Assets) > 0 {
		x.assets, x.ways = story.NewAssets(a.opt.Assets), graph.NewWays(m)
	}
	return x
}

// Bounds of what is told apart: the names come from evidence.
const (
	maxSources = 4096
	maxHosts   = 200_000
)

// observe takes in one act, after memory did.
func (x *insight) observe(o *model.Observation) {
	if o.Host != "" && len(x.hosts) < maxHosts {
		x.hosts[o.Host] = true
	}
	if len(x.sources) < maxSources {
		x.sources[o.Source] = true
	}
	x.transfers.Observe(o)
	if x.assets != nil {
		x.assets.Observe(o)
		x.ways.Observe(o)
	}
}

// estate is what stories need of all that was observed.
func (a *App) estate(x *insight) story.Estate {
	e := story.Estate{Hosts: slices.Sorted(maps.Keys(x.hosts)), Assets: x.assets, Ways: x.ways, Transfers: x.transfers}
	for s := range x.sources {
		for _, p := range knowledge.PlatformsIn(s) {
			if !slices.Contains(e.Platforms, p) {
				e.Platforms = append(e.Platforms, p)
			}
		}
	}
	slices.Sort(e.Platforms)
	e.Visible = a.visibility(x.sources)
	return e
}
