package detect

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const (
	encryptSpan  = 2 * time.Minute
	encryptFiles = 15 // documents that get one new ending
)

// encrypt finds ransomware at work by what it must do, whatever it is called: one
// program gives many documents the same new ending behind their own, within
// minutes.
type encrypt struct {
	def  Definition
	seen *windows
}

// NewEncrypt finds one program that gives many documents the same new ending.
func NewEncrypt() Detector {
	return &encrypt{seen: newWindows(encryptSpan, writtenFile), def: Definition{
		Rule: model.RuleInfo{ID: "e0a9a3f1-6c0f-4b35-9a44-1b6d0f7c8a05", Title: "Many documents given the same new ending by one program", Level: model.Critical, Source: "builtin"},
		Tags: []string{"attack.impact", "attack.t1486"}}}
}

func (e *encrypt) Definition() Definition { return e.def }

func (e *encrypt) Observe(o *model.Observation) []*model.Alert {
	if o.Act != model.ActFileWrite {
		return nil
	}
	ending := addedEnding(writtenFile(o))
	if ending == "" {
		return nil
	}
	who, _ := o.Find(model.Process, model.Actor)
	w := e.seen.add(o.Host+"\x00"+who.Value+"\x00"+ending, o)
	if len(w.labels) < encryptFiles || w.quiet(o.Time, time.Hour) {
		return nil
	}
	w.told = o.Time
	return []*model.Alert{Finish(e.def, o, fromMany(w.items, o))}
}

func writtenFile(o *model.Observation) string {
	f, _ := o.Find(model.File, model.Object)
	return f.Value
}

// documents are the endings of what people would pay to have back.
var documents = map[string]bool{"doc": true, "docx": true, "xls": true, "xlsx": true, "ppt": true, "pptx": true, "pdf": true, "odt": true, "ods": true, "rtf": true,
	"csv": true, "txt": true, "jpg": true, "jpeg": true, "png": true, "psd": true, "dwg": true, "mp4": true, "zip": true, "7z": true, "rar": true, "bak": true,
	"sql": true, "mdb": true, "accdb": true, "mdf": true, "ldf": true, "db": true, "sqlite": true, "pst": true, "ost": true, "eml": true, "msg": true,
	"vhd": true, "vhdx": true, "vmdk": true, "kdbx": true, "key": true, "pem": true}

// partners are endings that programs rightly put behind another.
var partners = map[string]bool{"tmp": true, "temp": true, "part": true, "partial": true, "crdownload": true, "download": true, "gz": true, "xz": true, "bz2": true, "zst": true,
	"zip": true, "bak": true, "old": true, "orig": true, "log": true, "lock": true, "sha256": true, "md5": true, "asc": true, "sig": true, "lnk": true, "identifier": true, "swp": true}

// addedEnding returns the ending that stands behind a document's own, empty where
// there is none or it is one that programs use.
func addedEnding(path string) string {
	name := path[strings.LastIndexAny(path, `\/`)+1:]
	stem, added, ok := cutLast(name)
	if !ok || added == "" || partners[added] || documents[added] || len(added) > 32 {
		return ""
	}
	if _, own, ok := cutLast(stem); !ok || !documents[own] {
		return ""
	}
	return added
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i <= 0 {
		return s, "", false
	}
	return s[:i], strings.ToLower(s[i+1:]), true
}
