package server

import (
	"context"

	"github.com/catena-sec/catena/internal/store"
)

// FirstIngestToken makes a token with which evidence of the default tenant can be sent,
// for who starts the engine for the first time.
func (s *Server) FirstIngestToken(ctx context.Context) (secret string, err error) {
	secret, _ = newSecret(ingestPrefix)
	t := store.Token{ID: newID("i-"), Digest: store.DigestOf(secret), Kind: store.IngestToken, Tenant: DefaultTenant, Name: "first", Created: s.o.Now().UTC()}
	if err := s.o.Control.CreateToken(ctx, t); err != nil {
		return "", err
	}
	return secret, s.o.Control.Audit(ctx, store.AuditRow{Time: s.o.Now(), Actor: "system", Action: "create-ingest-token", Object: t.ID, Detail: "first start"})
}
