package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheClientIsOfTheDocumentOfToday(t *testing.T) {
	want, err := source()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../client.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("client.gen.go is not what the document makes it: run go generate ./client")
	}
}
