package simulate

import "bufio"

// jsonText writes JSON whose keys keep their order. Errors stay in the
// bufio.Writer until it is flushed.
type jsonText struct{ b *bufio.Writer }

// raw writes s as it is.
func (j jsonText) raw(s string) jsonText {
	_, _ = j.b.WriteString(s)
	return j
}

// str writes s as a JSON string.
func (j jsonText) str(s string) jsonText {
	const digits = "0123456789abcdef"
	_ = j.b.WriteByte('"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		_, _ = j.b.WriteString(s[from:i])
		from = i + 1
		switch c {
		case '"', '\\':
			_, _ = j.b.Write([]byte{'\\', c})
		case '\n':
			_, _ = j.b.WriteString(`\n`)
		default:
			_, _ = j.b.Write([]byte{'\\', 'u', '0', '0', digits[c>>4], digits[c&15]})
		}
	}
	_, _ = j.b.WriteString(s[from:])
	_ = j.b.WriteByte('"')
	return j
}

// pairs writes the members of an object of strings.
func (j jsonText) pairs(fields [][2]string) jsonText {
	for i, f := range fields {
		if i > 0 {
			j.raw(",")
		}
		j.str(f[0]).raw(":").str(f[1])
	}
	return j
}
