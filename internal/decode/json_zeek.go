package decode

import (
	"fmt"

	"github.com/catena-sec/catena/internal/model"
)

// zeekShape is Zeek's JSON: with the log's name as _path or, from streaming
// pipelines, as @stream; or without one, as Zeek's own writer does (the name is
// then the file's), where the fields tell the log.
func zeekShape() jsonShape {
	return jsonShape{
		name:  "zeek",
		all:   []string{"ts"},
		any:   []string{"_path", "@stream", "uid"},
		also:  func(doc *jsonDoc) bool { return zeekPath(doc) != "" },
		field: zeekField,
		emit:  emitZeekJSON,
	}
}

func emitZeekJSON(w *jsonWorker, b *Batch, e *model.Event) error {
	if err := zeekEvent(b, e, zeekPath(&w.doc), w.doc.text("ts")); err != nil {
		return err
	}
	if e.Sensed.IsZero() {
		return fmt.Errorf("ts is empty")
	}
	finish(e)
	b.Emit(*e)
	return nil
}

// zeekTells are fields that only one log has, the most telling first.
var zeekTells = [...]struct{ field, path string }{
	{"conn_state", "conn"}, {"note", "notice"}, {"qtype_name", "dns"}, {"query", "dns"}, {"trans_depth", "http"}, {"share_type", "smb_mapping"},
	{"request_type", "kerberos"}, {"named_pipe", "dce_rpc"}, {"endpoint", "dce_rpc"}, {"ntlm.version", "ntlm"}, {"server_nb_computer_name", "ntlm"}, {"helo", "smtp"},
	{"cert_chain_fps", "ssl"}, {"next_protocol", "ssl"}, {"server_name", "ssl"}, {"auth_attempts", "ssh"}, {"client_build", "rdp"}, {"security_protocol", "rdp"},
	{"peer", "weird"},
}

// zeekPath is the name of the log that a record is of, empty if it is no record
// of Zeek.
func zeekPath(doc *jsonDoc) string {
	if doc.has("_path") {
		return doc.text("_path")
	}
	if doc.has("@stream") {
		return doc.text("@stream")
	}
	_, dotted := doc.find("id.orig_h")
	if _, flat := doc.find("id_orig_h"); !dotted && !flat {
		return ""
	}
	for _, t := range zeekTells {
		if _, ok := doc.find(t.field); ok {
			return t.path
		}
	}
	return ""
}
