// Package client speaks with the API of a running Catena. Its types and methods are made
// from the OpenAPI document, one method an operation, so that they say what the server
// says; what is common to all of them, and the stream of changes, stand here.
//
//	c := client.New("https://catena.example.com", token)
//	page, err := c.ListIncidents(ctx, client.ListIncidentsParams{Open: "yes"})
//
// Strings in answers come from evidence, which attackers write too: show them as text.
package client

//go:generate go run ./gen -o client.gen.go
