//go:build !unix

package app

// peakRSS is not asked of systems without getrusage.
func peakRSS() int64 { return 0 }
