//go:build race

package app

// underRace tells measurements, which find no races, to take a sample.
const underRace = true
