package source

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// An otlpLines writes the log records of a request of OTLP (logs_service.proto,
// logs.proto, common.proto of opentelemetry-proto 1.x) as lines of its JSON encoding,
// each with the resource and scope of its records. It reads the bytes as they stand,
// so that memory is bounded by them.
type otlpLines struct {
	max  int                // bytes of one line
	line func([]byte) error // takes a line, good until it returns

	out      []byte
	resource []byte
	scope    []byte
	open     bool // out holds records of resource
	inScope  bool // and of scope
	records  int  // in out
	rejected int
	cause    string // of the first that was rejected
}

// Bounds of one line: when it is cut, and of what it repeats.
const (
	otlpLineBytes   = 256 << 10
	otlpLineRecords = 10_000
	otlpResource    = 64 << 10
	otlpDepth       = 32
)

var errOTLPDamaged = errors.New("not in OTLP's encoding")

// eachField calls fn for the fields of a message: number, and bytes of a field that
// has a length, else its number.
func eachField(message []byte, fn func(n protowire.Number, data []byte, number uint64) error) error {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return errOTLPDamaged
		}
		message = message[size:]
		var data []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			data, size = protowire.ConsumeBytes(message)
			if data == nil {
				data = []byte{}
			}
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(message)
		case protowire.Fixed64Type:
			number, size = protowire.ConsumeFixed64(message)
		case protowire.Fixed32Type:
			var small uint32
			small, size = protowire.ConsumeFixed32(message)
			number = uint64(small)
		default:
			size = protowire.ConsumeFieldValue(n, kind, message)
		}
		if size < 0 {
			return errOTLPDamaged
		}
		message = message[size:]
		if err := fn(n, data, number); err != nil {
			return err
		}
	}
	return nil
}

// request writes the records of an ExportLogsServiceRequest.
func (w *otlpLines) request(message []byte) error {
	err := eachField(message, func(n protowire.Number, data []byte, _ uint64) error {
		if n == 1 && data != nil {
			return w.resourceLogs(data)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.flush()
}

func (w *otlpLines) resourceLogs(message []byte) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.resource = w.resource[:0]
	err := eachField(message, func(n protowire.Number, data []byte, _ uint64) (err error) {
		if n == 1 && data != nil {
			w.resource, err = otlpObject(w.resource[:0], data, 1, otlpResource)
		}
		return err
	})
	tooLarge := errors.Is(err, errTooLarge)
	if err != nil && !tooLarge {
		return err
	}
	return eachField(message, func(n protowire.Number, data []byte, _ uint64) error {
		if n != 2 || data == nil {
			return nil
		}
		return w.scopeLogs(data, tooLarge)
	})
}

func (w *otlpLines) scopeLogs(message []byte, reject bool) error {
	if w.inScope {
		w.out = append(w.out, "]}"...)
		w.inScope = false
	}
	w.scope = w.scope[:0]
	err := eachField(message, func(n protowire.Number, data []byte, _ uint64) (err error) {
		if n == 1 && data != nil {
			w.scope, err = otlpScope(w.scope[:0], data)
		}
		return err
	})
	if errors.Is(err, errTooLarge) {
		reject, err = true, nil
	}
	if err != nil {
		return err
	}
	return eachField(message, func(n protowire.Number, data []byte, _ uint64) error {
		switch {
		case n != 2 || data == nil:
			return nil
		case reject:
			w.reject("attributes of a resource or scope of more than " + strconv.Itoa(otlpResource) + " bytes")
			return nil
		}
		return w.record(data)
	})
}

func (w *otlpLines) reject(cause string) {
	if w.rejected++; w.cause == "" {
		w.cause = cause
	}
}

// record writes a LogRecord.
func (w *otlpLines) record(message []byte) error {
	if len(w.out) >= min(otlpLineBytes, w.max/2) || w.records >= otlpLineRecords {
		if err := w.flush(); err != nil {
			return err
		}
	}
	before := len(w.out)
	open, inScope := w.open, w.inScope
	if !w.open {
		w.out = append(append(append(w.out[:0], `{"resourceLogs":[{"resource":`...), orEmpty(w.resource)...), `,"scopeLogs":[`...)
		before = 0
	}
	switch {
	case !w.inScope && w.open:
		w.out = append(append(append(w.out, `,{"scope":`...), orEmpty(w.scope)...), `,"logRecords":[`...)
	case !w.inScope:
		w.out = append(append(append(w.out, `{"scope":`...), orEmpty(w.scope)...), `,"logRecords":[`...)
	default:
		w.out = append(w.out, ',')
	}
	w.open, w.inScope = true, true
	out, err := otlpRecord(w.out, message, w.max-16)
	w.out = out
	if errors.Is(err, errTooLarge) {
		w.out, w.open, w.inScope = w.out[:before], open, inScope
		if before > 0 && !errors.Is(err, errOTLPDeep) { // it may have room on a line of its own
			if err := w.flush(); err != nil {
				return err
			}
			return w.record(message)
		}
		w.reject("a log record of more than " + strconv.Itoa(w.max) + " bytes, or nested too deep")
		return nil
	}
	w.records++
	return err
}

// flush hands on the line under way.
func (w *otlpLines) flush() error {
	if !w.open {
		return nil
	}
	if w.inScope {
		w.out = append(w.out, "]}"...)
	}
	w.out = append(w.out, "]}]}"...)
	err := w.line(w.out)
	w.out, w.open, w.inScope, w.records = w.out[:0], false, false, 0
	return err
}

func orEmpty(object []byte) []byte {
	if len(object) == 0 {
		return []byte("{}")
	}
	return object
}

// errOTLPDeep is an errTooLarge that no other line helps.
var errOTLPDeep = fmt.Errorf("values nested deeper than %d: %w", otlpDepth, errTooLarge)

// otlpRecord appends a LogRecord; the result is at most limit bytes.
func otlpRecord(out, message []byte, limit int) ([]byte, error) {
	out = append(out, '{')
	comma := len(out)
	var err error
	member := func(name string) {
		if len(out) > comma {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), `":`...)
	}
	err = eachField(message, func(n protowire.Number, data []byte, number uint64) error {
		if n != 6 && len(out)+len(data) > limit {
			return errTooLarge
		}
		switch {
		case n == 1 || n == 11:
			member(map[protowire.Number]string{1: "timeUnixNano", 11: "observedTimeUnixNano"}[n])
			out = append(strconv.AppendUint(append(out, '"'), number, 10), '"')
		case n == 2:
			member("severityNumber")
			out = strconv.AppendInt(out, int64(int32(number)), 10)
		case n == 8:
			member("flags")
			out = strconv.AppendUint(out, number, 10)
		case data == nil:
		case n == 3 || n == 12:
			member(map[protowire.Number]string{3: "severityText", 12: "eventName"}[n])
			out = appendJSONText(out, data)
		case n == 5:
			member("body")
			var err error
			out, err = otlpValue(out, data, 0, limit)
			return err
		case n == 9 || n == 10:
			member(map[protowire.Number]string{9: "traceId", 10: "spanId"}[n])
			out = append(hex.AppendEncode(append(out, '"'), data[:min(len(data), 64)]), '"')
		}
		if len(out) > limit {
			return errTooLarge
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	member("attributes")
	if out, err = otlpPairs(out, message, 6, 0, limit); err != nil {
		return out, err
	}
	return append(out, '}'), nil
}

// otlpObject appends the object of a Resource, whose attributes are a field.
func otlpObject(out, message []byte, field protowire.Number, limit int) ([]byte, error) {
	out, err := otlpPairs(append(out, `{"attributes":`...), message, field, 0, limit)
	return append(out, '}'), err
}

// otlpScope appends an InstrumentationScope.
func otlpScope(out, message []byte) ([]byte, error) {
	out = append(out, '{')
	err := eachField(message, func(n protowire.Number, data []byte, _ uint64) error {
		if data == nil || n != 1 && n != 2 || len(out)+len(data) > otlpResource {
			return nil
		}
		name := `"name":`
		if n == 2 {
			name = `"version":`
		}
		out = append(appendJSONText(append(out, name...), data), ',')
		return nil
	})
	if err != nil {
		return out, err
	}
	out, err = otlpPairs(append(out, `"attributes":`...), message, 3, 0, otlpResource)
	return append(out, '}'), err
}

// otlpPairs appends the KeyValues that a field of message holds, as a list.
func otlpPairs(out, message []byte, field protowire.Number, depth, limit int) ([]byte, error) {
	out = append(out, '[')
	first := true
	err := eachField(message, func(n protowire.Number, pair []byte, _ uint64) error {
		if n != field || pair == nil {
			return nil
		}
		if len(out)+len(pair) > limit {
			return errTooLarge
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		var key, value []byte
		if err := eachField(pair, func(n protowire.Number, data []byte, _ uint64) error {
			switch n {
			case 1:
				key = data
			case 2:
				value = data
			}
			return nil
		}); err != nil {
			return err
		}
		out = append(appendJSONText(append(out, `{"key":`...), key), `,"value":`...)
		var err error
		out, err = otlpValue(out, value, depth, limit)
		out = append(out, '}')
		return err
	})
	return append(out, ']'), err
}

// otlpValue appends an AnyValue.
func otlpValue(out, message []byte, depth, limit int) ([]byte, error) {
	if depth > otlpDepth {
		return out, errOTLPDeep
	}
	out = append(out, '{')
	set := false
	err := eachField(message, func(n protowire.Number, data []byte, number uint64) error {
		if set || n < 1 || n > 7 || (n == 1 || n > 4) != (data != nil) {
			return nil // one value only: what follows the first is not sent by anyone
		}
		set = true
		var err error
		switch n {
		case 1:
			out = appendJSONText(append(out, `"stringValue":`...), data)
		case 2:
			out = strconv.AppendBool(append(out, `"boolValue":`...), number != 0)
		case 3:
			out = append(strconv.AppendInt(append(out, `"intValue":"`...), int64(number), 10), '"')
		case 4:
			out = append(out, `"doubleValue":`...)
			if v := math.Float64frombits(number); math.IsNaN(v) || math.IsInf(v, 0) {
				out = append(append(append(out, '"'), strconv.FormatFloat(v, 'g', -1, 64)...), '"')
			} else {
				out = strconv.AppendFloat(out, v, 'g', -1, 64)
			}
		case 5:
			out = append(out, `"arrayValue":{"values":[`...)
			first := true
			err = eachField(data, func(n protowire.Number, one []byte, _ uint64) error {
				if n != 1 || one == nil {
					return nil
				}
				if !first {
					out = append(out, ',')
				}
				first = false
				var err error
				out, err = otlpValue(out, one, depth+1, limit)
				return err
			})
			out = append(out, "]}"...)
		case 6:
			out, err = otlpPairs(append(out, `"kvlistValue":{"values":`...), data, 1, depth+1, limit)
			out = append(out, '}')
		case 7:
			out = append(base64.StdEncoding.AppendEncode(append(out, `"bytesValue":"`...), data), '"')
		}
		return err
	})
	out = append(out, '}')
	if err == nil && len(out) > limit {
		err = errTooLarge
	}
	return out, err
}

// appendJSONText appends text as a string of JSON.
func appendJSONText(out, text []byte) []byte {
	plain := utf8.Valid(text)
	for _, c := range text {
		if c < 0x20 || c == '"' || c == '\\' || c == 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return append(append(append(out, '"'), text...), '"')
	}
	quoted, _ := json.Marshal(string(text)) //nolint:errchkjson // a string
	return append(out, quoted...)
}
