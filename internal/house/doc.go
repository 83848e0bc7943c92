// Package house holds the rules of the house as tests: which package may import
// which, and that each one says what it is for.
package house
