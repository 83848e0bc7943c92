package server

import "github.com/catena-sec/catena/internal/report"

func pictureOf(g report.Graph) Picture {
	p := Picture{Width: g.Width, Height: g.Height, Hidden: g.Hidden, Lanes: lanesOf(g.Lanes)}
	for _, n := range g.Nodes {
		p.Nodes = append(p.Nodes, PictureNode{Key: n.Key, Type: n.Type, Label: n.Label, Title: n.Title, Lane: n.Lane, X: n.X, Y: n.Y,
			Count: n.Count, Root: n.Root, Severity: n.Severity, Step: n.Step})
	}
	for _, e := range g.Edges {
		p.Edges = append(p.Edges, PictureEdge{From: e.From, To: e.To, Title: e.Title, Count: e.Count, Move: e.Move, Path: e.Path})
	}
	return p
}

func lanesOf(l []report.Lane) (out []PictureLane) {
	for _, x := range l {
		out = append(out, PictureLane{x.Label, x.Y, x.Height})
	}
	return out
}

func timelineOf(t report.Timeline) Timeline {
	out := Timeline{Width: t.Width, Height: t.Height, Hidden: t.Hidden, Lanes: lanesOf(t.Lanes)}
	for _, m := range t.Marks {
		out.Marks = append(out.Marks, TimelineMark{m.N, m.X, m.Y, m.Title, m.Stage})
	}
	for _, a := range t.Arcs {
		out.Arcs = append(out.Arcs, a.Path)
	}
	for _, x := range t.Ticks {
		out.Ticks = append(out.Ticks, TimelineTick{x.X, x.Label, x.Pause})
	}
	return out
}
