package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/store"
)

// Bounds of a report that is written on request.
const (
	reportAlerts  = 20_000   // of one incident
	reportBytes   = 64 << 20 // written
	reportsAtOnce = 2
)

// Picture is an incident's attack laid out: what acted on what. Columns are the order of
// first appearance, lanes are hosts; all sizes are pixels.
type Picture struct {
	Width  int           `json:"width"`
	Height int           `json:"height"`
	Lanes  []PictureLane `json:"lanes"`
	Nodes  []PictureNode `json:"nodes"`
	Edges  []PictureEdge `json:"edges"`
	Hidden int           `json:"hidden" doc:"nodes left out, because a picture of more says less"`
}

// PictureLane is a horizontal band.
type PictureLane struct {
	Label  string `json:"label"`
	Y      int    `json:"y"`
	Height int    `json:"height"`
}

// PictureNode is an entity, or several alike ones.
type PictureNode struct {
	Key      string           `json:"key" doc:"type:value of the entity; of the first of several"`
	Type     model.EntityType `json:"type"`
	Label    string           `json:"label"`
	Title    string           `json:"title"`
	Lane     int              `json:"lane"`
	X        int              `json:"x"`
	Y        int              `json:"y"`
	Count    int              `json:"count" doc:"how many entities it stands for"`
	Root     bool             `json:"root" doc:"where the incident started"`
	Severity model.Severity   `json:"severity,omitempty" doc:"the worst of its alerts"`
	Step     int              `json:"step" doc:"number of the first step that shows it, 0 if none does"`
}

// PictureEdge leads from one node to another.
type PictureEdge struct {
	From  int    `json:"from" doc:"index of a node"`
	To    int    `json:"to"`
	Title string `json:"title"`
	Count int    `json:"count" doc:"alerts that show it"`
	Move  bool   `json:"move" doc:"from one host to another"`
	Path  string `json:"path" doc:"as an SVG path"`
}

// Timeline is an incident's steps laid out over time, in lanes of hosts or accounts.
type Timeline struct {
	Width  int            `json:"width"`
	Height int            `json:"height"`
	Lanes  []PictureLane  `json:"lanes"`
	Marks  []TimelineMark `json:"marks"`
	Arcs   []string       `json:"arcs" doc:"from cause to effect, as SVG paths"`
	Ticks  []TimelineTick `json:"ticks"`
	Hidden int            `json:"hidden" doc:"steps left out"`
}

// TimelineMark is a step.
type TimelineMark struct {
	Step  int         `json:"step"`
	X     int         `json:"x"`
	Y     int         `json:"y"`
	Title string      `json:"title"`
	Stage model.Stage `json:"stage"`
}

// TimelineTick is a time on the axis, or the length of a long pause.
type TimelineTick struct {
	X     int    `json:"x"`
	Label string `json:"label"`
	Pause bool   `json:"pause"`
}

func (s *Server) reportRoutes() {
	read := route{Method: http.MethodGet, Tag: "incidents", Role: Viewer, Scope: "incidents:read"}
	read.Path, read.ID, read.Summary = "/incidents/{id}/graph", "get-graph", "The attack as a picture, laid out"
	handle(s, read, func(ctx context.Context, c *call, in *One) (*tagged[Picture], error) {
		x, err := c.Cases.Incident(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		alerts, _, err := membersOf(ctx, c, &x)
		if err != nil {
			return nil, err
		}
		byID := make(map[string]*model.Alert, len(alerts))
		for i := range alerts {
			byID[alerts[i].ID] = &alerts[i]
		}
		return &tagged[Picture]{quote(x.ETag()), filled(pictureOf(report.LayoutGraph(&x.Incident, byID)))}, nil
	})
	read.Path, read.ID, read.Summary = "/incidents/{id}/timeline", "get-timeline", "The steps over time, laid out"
	handle(s, read, func(ctx context.Context, c *call, in *One) (*tagged[Timeline], error) {
		x, err := c.Cases.Incident(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &tagged[Timeline]{quote(x.ETag()), filled(timelineOf(report.LayoutTimeline(&x.Incident)))}, nil
	})
	s.exportRoute()
}

// exportRoute writes an incident in a format of reports. It answers with a file, which is
// no JSON of the document's: the media types of all formats stand there.
func (s *Server) exportRoute() {
	r := route{Method: http.MethodGet, Path: "/incidents/{id}/report/{format}", ID: "get-report", Tag: "incidents", Role: Viewer, Scope: "incidents:read",
		Summary: "An incident as a report file", Desc: "Formats: " + strings.Join(s.formats(), ", ") + "."}
	op := s.operation(r)
	content := map[string]*huma.MediaType{}
	for _, f := range s.o.Reports {
		content[mediaType(f.File())] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	op.Responses = map[string]*huma.Response{"200": {Description: "The file", Content: content}}
	huma.Register(s.api, op, func(ctx context.Context, in *struct {
		One
		Format string `path:"format" maxLength:"40"`
	}) (*export, error) {
		c := ctx.Value(callKey{}).(*call)
		out, err := s.export(ctx, c, in.ID, in.Format)
		if err != nil {
			return nil, s.problem(ctx, r.ID, err)
		}
		return out, nil
	})
	s.routes = append(s.routes, r)
}

// An export is a file.
type export struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Policy      string `header:"Content-Security-Policy"`
	Body        []byte
}

func (s *Server) formats() []string {
	var out []string
	for _, f := range s.o.Reports {
		out = append(out, f.Name())
	}
	return out
}

func (s *Server) export(ctx context.Context, c *call, id, format string) (*export, error) {
	i := slices.IndexFunc(s.o.Reports, func(w report.Writer) bool { return w.Name() == format })
	if i < 0 {
		return nil, huma.Error404NotFound(fmt.Sprintf("there is no report format %q; there are %s", clip(format), strings.Join(s.formats(), ", ")))
	}
	select {
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	x, err := c.Cases.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	r, err := s.reportOf(ctx, c, &x)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := s.o.Reports[i].Write(&limited{&b, reportBytes}, r); err != nil {
		return nil, fmt.Errorf("write a report: %w", err)
	}
	name := s.o.Reports[i].File()
	out := &export{ContentType: mediaType(name), Policy: exportPolicy, Body: b.Bytes()}
	how := "attachment"
	if strings.HasPrefix(out.ContentType, "text/html") {
		how = "inline" // without any right, by its policy
	}
	out.Disposition = fmt.Sprintf(`%s; filename="%s-%s"`, how, x.ID, name) // both of our own making
	return out, nil
}

// reportOf is a report of one incident.
func (s *Server) reportOf(ctx context.Context, c *call, x *store.Case) (*model.Report, error) {
	alerts, all, err := membersOf(ctx, c, x)
	if err != nil {
		return nil, err
	}
	r := &model.Report{Schema: model.ReportSchema, Engine: model.Engine{Version: s.o.Version, Rules: s.o.RulesHash, AttackVersion: s.o.AttackVersion},
		Incidents: []model.Incident{x.Incident}, Alerts: alerts, Totals: model.Totals{Alerts: len(alerts), Incidents: 1}}
	for i := range alerts {
		r.Totals.Events += int64(alerts[i].Count)
	}
	if !all {
		r.Notes = append(r.Notes, fmt.Sprintf("The incident has more than %d alerts; the report holds the latest.", reportAlerts))
	}
	inc := &r.Incidents[0]
	said, err := c.Cases.Decisions(ctx, store.DecisionFilter{Target: x.ID})
	if err != nil {
		return nil, err
	}
	inc.History = nil
	for _, d := range said {
		if d.UndoneBy != "" {
			d.Decision.Effect = "taken back by " + d.UndoneBy
		}
		inc.History = append(inc.History, d.Decision)
	}
	*r = filled(*r)
	return r, nil
}

// membersOf reads the alerts of an incident in order of time, and says whether these are
// all.
func membersOf(ctx context.Context, c *call, x *store.Case) (out []model.Alert, all bool, err error) {
	f := store.AlertFilter{Incident: &x.ID, Limit: maxPage}
	for {
		p, err := c.Cases.Alerts(ctx, f)
		if err != nil {
			return nil, false, err
		}
		for i := range p.Items {
			out = append(out, p.Items[i].Alert)
		}
		if f.Cursor = p.Next; f.Cursor == "" || len(out) >= reportAlerts {
			slices.Reverse(out)
			return out, f.Cursor == "", nil
		}
	}
}

// mediaType is that of a file of our own by its name.
func mediaType(file string) string {
	switch path.Ext(file) {
	case ".json", ".afb":
		return "application/json"
	case ".html":
		return "text/html; charset=utf-8"
	case ".csv":
		return "text/csv; charset=utf-8"
	}
	return "text/plain; charset=utf-8"
}

// limited lets so many bytes through.
type limited struct {
	w    *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, fmt.Errorf("%w: more than %d bytes", store.ErrLimit, reportBytes)
	}
	l.left -= len(p)
	return l.w.Write(p)
}
