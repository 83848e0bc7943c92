package main

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"

	"github.com/catena-sec/catena/internal/report"
)

// The measures of the picture, in pixels.
const (
	cellWidth, cellHeight = 78, 34
	leftMargin, topMargin = 150, 40
	legendHeight          = 56
)

// shades colour a cell by the order of magnitude of its rules, fewest first.
var shades = [...]string{"#dbe7f6", "#b3cce8", "#7fa6d1", "#4876ad", "#1d3557"}

// darkFrom is the first of the shades on which text is white.
const darkFrom = 3

// shade puts a count of at least one on the scale of shades: each is three times
// the one before, as some log sources have most of the rules.
func shade(n int) int {
	return min(int(math.Log(float64(n))/math.Log(3)), len(shades)-1)
}

// writePicture draws the matrix as SVG. A thin cell shows how many rules of
// several subsystems see it besides.
func writePicture(w io.Writer, c *report.Coverage, gaps map[string]gap) error {
	b := bufio.NewWriter(w)
	width, bottom := leftMargin+cellWidth*len(c.Subsystems)+10, topMargin+cellHeight*len(c.Stages)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" role="img">`+"\n",
		width, bottom+legendHeight, width, bottom+legendHeight)
	fmt.Fprintf(b, "<title>Rules by stage and subsystem</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n")
	text := func(x, y int, anchor, fill, s string) {
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, fill, html.EscapeString(s))
	}
	box := func(x, y int, fill, label, ink, about string) {
		fmt.Fprintf(b, `<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="%s" stroke="#c5cedb"/>`,
			html.EscapeString(about), x, y, cellWidth-4, cellHeight-4, fill)
		text((2*x+cellWidth-4)/2, y+cellHeight/2+2, "middle", ink, label)
		fmt.Fprintln(b, "</g>")
	}
	for i, s := range c.Subsystems {
		text(leftMargin+i*cellWidth+cellWidth/2-2, topMargin-12, "middle", "#1a1a1a", s)
	}
	for j, st := range c.Stages {
		y := topMargin + j*cellHeight
		text(leftMargin-10, y+cellHeight/2+2, "end", "#1a1a1a", words(string(st)))
		for i, s := range c.Subsystems {
			n := c.Matrix[st][s]
			fill, ink, label := "#ffffff", "#5f6b7a", "·"
			if n > 0 {
				k := shade(n)
				fill, ink, label = shades[k], "#1a1a1a", fmt.Sprint(n)
				if k >= darkFrom {
					ink = "#ffffff"
				}
			}
			about := fmt.Sprintf("%s: %d", cellName(st, s), n)
			if more := len(gaps[cellName(st, s)].Elsewhere); more > 0 {
				label = fmt.Sprintf("%d + %d", n, more)
				about += fmt.Sprintf(", and %d of several subsystems", more)
			}
			box(leftMargin+i*cellWidth, y, fill, label, ink, about)
		}
	}
	text(leftMargin, bottom+22, "start", "#1a1a1a", `n: rules of this stage and subsystem.  n + m: m rules counted under "any" see it as well.  ·: none, for the reason given below.`)
	text(leftMargin, bottom+40, "start", "#5f6b7a", "Darker is more: each shade is three times the one before.")
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}
