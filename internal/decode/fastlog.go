package decode

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// An eveAlert is as much of Suricata's EVE alert as a line of fast.log tells.
type eveAlert struct {
	Timestamp string `json:"timestamp"`
	EventType string `json:"event_type"`
	SrcIP     string `json:"src_ip"`
	SrcPort   int    `json:"src_port,omitempty"`
	DestIP    string `json:"dest_ip"`
	DestPort  int    `json:"dest_port,omitempty"`
	Proto     string `json:"proto"`
	Alert     struct {
		GID       int    `json:"gid"`
		ID        int    `json:"signature_id"`
		Rev       int    `json:"rev"`
		Signature string `json:"signature"`
		Category  string `json:"category"`
		Severity  int    `json:"severity"`
	} `json:"alert"`
}

// fastLog reads the one-line alerts of Suricata and Snort
// (https://docs.suricata.io/en/latest/output/fastlog/fastlog.html), which are EVE
// alerts with less in them and become the same:
//
//	01/02/2006-15:04:05.000000  [**] [1:2008578:4] name [**] [Classification: x] [Priority: 2] {UDP} 1.2.3.4:5 -> 10.0.0.1:80
func (l *textLine) fastLog() bool {
	head, rest, ok := strings.Cut(l.s, " [**] [")
	if !ok || len(head) > stampWithin {
		return false
	}
	st, n := readStamp(head)
	ids, rest, ok := strings.Cut(rest, "] ")
	id := strings.Split(ids, ":")
	if n == 0 || !ok || len(id) != 3 {
		return false
	}
	name, rest, ok := strings.Cut(rest, " [**] ")
	_, flow, ok2 := cutLast(rest, "{")
	proto, ends, ok3 := strings.Cut(flow, "} ")
	src, dst, ok4 := strings.Cut(ends, " -> ")
	if !ok || !ok2 || !ok3 || !ok4 {
		return false
	}
	l.when(st)
	if l.e.Recorded.IsZero() {
		return false
	}
	a := eveAlert{Timestamp: l.e.Recorded.Format(time.RFC3339Nano), EventType: "alert", Proto: proto}
	var port string
	a.SrcIP, port = endpoint(src)
	a.SrcPort = portNumber(port)
	a.DestIP, port = endpoint(strings.TrimSpace(dst))
	a.DestPort = portNumber(port)
	for i, to := range []*int{&a.Alert.GID, &a.Alert.ID, &a.Alert.Rev} {
		v, err := strconv.ParseUint(id[i], 10, 31)
		if err != nil {
			return false
		}
		*to = int(v) //nolint:gosec // 31 bits
	}
	a.Alert.Signature = strings.TrimSpace(name)
	a.Alert.Category = between(rest, "[Classification: ", "]")
	a.Alert.Severity = portNumber(between(rest, "[Priority: ", "]"))
	text, err := json.Marshal(&a)
	return err == nil && l.record(string(text))
}
