package decode

import "unsafe"

// offsetIn returns where part begins in text, of which it was cut.
func offsetIn(text, part string) int64 {
	return int64(uintptr(unsafe.Pointer(unsafe.StringData(part))) - uintptr(unsafe.Pointer(unsafe.StringData(text)))) //nolint:gosec // compared, never followed
}

// memberText returns the text of the value that stands in text, a JSON object,
// under a path of keys: the first of its name, empty if there is none. text was
// parsed before, so its syntax is good; keys with escapes are not found.
func memberText(text string, path ...string) string {
	for _, key := range path {
		found := ""
		eachMember(text, func(k, value string) bool {
			if k == key {
				found = value
			}
			return found == ""
		})
		if found == "" {
			return ""
		}
		text = found
	}
	return text
}

// jsonString returns the text of a value: of a string what it says, of null
// nothing, of all else what stands there.
func jsonString(value string) string {
	if value == "null" {
		return ""
	}
	if len(value) < 2 || value[0] != '"' {
		return value
	}
	doc := jsonDoc{data: stringBytes(value), p: 1}
	text, _ := doc.str() // empty if it is broken
	return text
}

// eachMember calls fn with the keys, as they are written, and values of the JSON
// object in text, until it returns false. Of text that is no object it calls none.
func eachMember(text string, fn func(key, value string) bool) {
	eachPart(text, '{', func(part string) bool {
		end := 1 + stringLen(stringBytes(part[1:]))
		value := end + 1
		for value < len(part) && isJSONGap(part[value]) {
			value++
		}
		return part[0] != '"' || value >= len(part) || fn(part[1:end], part[value:])
	})
}

// eachElement calls fn with the elements of the JSON array in text, until it
// returns false. Of text that is no array it calls none.
func eachElement(text string, fn func(value string) bool) { eachPart(text, '[', fn) }

// eachPart calls fn with what stands between the commas of the object or array in
// text.
func eachPart(text string, open byte, fn func(part string) bool) {
	if text == "" || text[0] != open {
		return
	}
	depth, start := 0, -1 // start of the part, without space before it
	last := 0             // behind its last byte that is no space
	for p := 1; p < len(text); p++ {
		c := text[p]
		if isJSONSpace(c) {
			continue
		}
		if depth == 0 && (c == ',' || c == '}' || c == ']') {
			if start >= 0 && !fn(text[start:last]) || c != ',' {
				return
			}
			start = -1
			continue
		}
		if start < 0 {
			start = p
		}
		switch c {
		case '"':
			p += 1 + stringLen(stringBytes(text[p+1:]))
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		last = min(p+1, len(text))
	}
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// isJSONGap reports whether c stands between a key and its value.
func isJSONGap(c byte) bool { return c == ':' || isJSONSpace(c) }
