// Package mappings holds the mapping files that Catena ships: how alert rows of
// products without a decoder of their own are understood, as data. Package
// decode documents and parses them (decode.ParseMapping).
package mappings

import (
	"embed"
	"io/fs"
)

//go:embed *.yml
var files embed.FS

// FS holds the shipped mapping files, *.yml, at its root.
func FS() fs.FS { return files }
