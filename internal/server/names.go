package server

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	tenantForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
	accountForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,99}$`)
	objectForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,79}$`)
)

// checkAccountName says why a name is not one of an account. Names are lower case, so
// that two do not look the same.
func checkAccountName(name string) error {
	if !accountForm.MatchString(name) {
		return fmt.Errorf("the name of an account is 1 to 100 of a-z, 0-9 and . _ @ + -, beginning with a letter or digit")
	}
	return nil
}

// checkLine says why a text is not one line of at most so many bytes.
func checkLine(what, s string, most int) error {
	switch {
	case len(s) > most:
		return fmt.Errorf("%s: longer than %d bytes", what, most)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s: not UTF-8", what)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s: holds a control character", what)
	}
	return nil
}
