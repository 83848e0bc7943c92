// Package server is how people and programs speak with a running engine: the REST
// API under /api/v1 with its OpenAPI 3.1 document, log-in and access, the stream of
// changes, the pages that need no console, and the tools of the Model Context
// Protocol under /mcp.
//
// It reads the store and changes incidents only by decisions, which the engine takes
// from the tenant's stream as it takes evidence. What it needs of the engine stands
// in Engine; package app implements it.
//
// Everything that comes in is bounded (body, page, rate, time), belongs to one tenant,
// and what it asks of another tenant is not found. Every route names the least role and
// the scope it needs, in the code and in the document, and tests made from the document
// hold the two together.
package server
