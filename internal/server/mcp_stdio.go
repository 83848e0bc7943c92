package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ServeStdio speaks the Model Context Protocol on in and out, as assistants start it, and
// passes all of it on to the server at url with a token. The stores belong to the running
// engine, so that a second process asks that one. It returns nil when in ends.
func ServeStdio(ctx context.Context, in io.ReadCloser, out io.WriteCloser, url, token string, client *http.Client) error {
	if !strings.HasPrefix(token, tokenPrefix) {
		return errors.New("the token is none: make one with the scopes mcp:read, incidents:read and what else the assistant may read")
	}
	if client == nil {
		client = &http.Client{}
	}
	with := *client
	with.Transport = bearing{token, client.Transport}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	near, err := (&mcp.IOTransport{Reader: in, Writer: out}).Connect(ctx)
	if err != nil {
		return err
	}
	far, err := (&mcp.StreamableClientTransport{Endpoint: strings.TrimRight(url, "/") + "/mcp", HTTPClient: &with, MaxRetries: -1, DisableStandaloneSSE: true}).Connect(ctx)
	if err != nil {
		return errors.Join(err, near.Close())
	}
	var gone error // why the server can be heard no more
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { _ = errors.Join(near.Close(), far.Close()) }() // what went wrong before tells more
	wg.Go(func() {
		defer cancel()
		for {
			m, err := far.Read(ctx)
			if err == nil {
				err = near.Write(ctx, m)
			}
			if err != nil {
				gone = err
				return
			}
		}
	})
	for {
		m, err := near.Read(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			wg.Wait()
			return fmt.Errorf("the server at %s can be heard no more: %w", url, gone)
		case err != nil:
			return fmt.Errorf("read what the assistant asks: %w", err)
		}
		if err := far.Write(ctx, m); err != nil {
			req, ok := m.(*jsonrpc.Request)
			if !ok || !req.IsCall() {
				continue
			}
			// The assistant is told, and may ask again: the server may be back by then.
			answer := &jsonrpc.Response{ID: req.ID, Error: &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the server at " + url + " did not take it: " + err.Error()}}
			if err := near.Write(ctx, answer); err != nil {
				return fmt.Errorf("answer the assistant: %w", err)
			}
		}
	}
}

// bearing sends a token with every request.
type bearing struct {
	token string
	next  http.RoundTripper
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	if b.next == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return b.next.RoundTrip(r)
}
