package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// githubShape is an entry of GitHub's audit log (enterprise or organisation), as the
// API and its streaming give it.
func githubShape() jsonShape {
	return jsonShape{
		name:  "github",
		all:   []string{"action", "actor"},
		any:   []string{"org", "repo", "business", "_document_id", "operation_type", "actor_location.country_code"},
		times: []string{"@timestamp", "created_at", "at_sign_timestamp", "p_event_time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Code = doc.text("action")
			e.Source = model.LogSource{Product: "github", Service: "audit"}
			e.Act, e.Subsystem = githubAct(e.Code)
			var s entitySet
			role := model.Actor
			if e.Act == model.ActLogon || e.Act == model.ActLogonFailed {
				role = model.Target
			}
			s.codeHost(model.User, role, "github.com", `\`, doc.text("actor"))
			s.ip(model.Src, doc.text("actor_ip"))
			if e.Act == model.ActAccountChange {
				s.codeHost(model.User, model.Target, "github.com", `\`, doc.text("user"))
			}
			s.codeHost(model.Resource, model.Target, "github.com", "/", firstOf(doc.text("repo"), doc.text("org")))
			if hash := doc.text("hashed_token"); hash != "" {
				s.add(model.AccessKey, model.Actor, hash, "", "")
			}
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}

// codeHost adds a user or repository of a place where code is kept, named after the
// place: their names are theirs alone there.
func (s *entitySet) codeHost(t model.EntityType, role model.Role, place, between, name string) {
	if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
		s.add(t, role, place+between+name, name, "")
	}
}

// githubAct says what an action did: "category.verb".
func githubAct(action string) (model.Act, model.Subsystem) {
	category, verb, _ := strings.Cut(action, ".")
	switch action {
	case "git.clone", "git.fetch", "repo.download_zip", "org.audit_log_export", "secret_scanning_alert.public_leak":
		return model.ActObjectRead, model.Application
	case "git.push":
		return model.ActObjectWrite, model.Application
	case "repo.destroy", "codespaces.destroy", "packages.package_deleted":
		return model.ActObjectDelete, model.Application
	case "user.login":
		return model.ActLogon, model.Identity
	case "user.failed_login":
		return model.ActLogonFailed, model.Identity
	case "org.audit_log_git_event_export", "audit_log_streaming.destroy", "audit_log_streaming.update":
		return model.ActLogCleared, model.Management
	}
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(verb, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("create", "grant", "generate", "register") && (strings.Contains(category, "token") || strings.HasSuffix(category, "_key") || strings.HasPrefix(category, "oauth") || strings.Contains(category, "secret") && !strings.Contains(category, "scanning")):
		return model.ActKeyIssued, model.Identity
	case has("member", "collaborator", "invite", "role", "admin", "moderator"), category == "team" && has("add", "remove"), category == "role":
		return model.ActAccountChange, model.Identity
	case has("list", "read", "view"):
		return model.ActObjectList, model.Application
	}
	return model.ActConfigChange, model.Application
}

// gitlabShape is an entry of GitLab's audit events: of its own log file, and of
// its API and streaming.
func gitlabShape() jsonShape {
	return jsonShape{
		name:  "gitlab",
		all:   []string{"author_id", "entity_type"},
		any:   []string{"target_details|details.target_details", "target_id|details.target_id", "entity_path|details.entity_path", "details.author_name", "author_name"},
		times: []string{"time", "created_at"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Code = doc.text("event_type|event_name|details.event_name|details.custom_message|custom_message|change|add|remove|details.change|details.add|details.remove|action")
			e.Source = model.LogSource{Product: "gitlab", Service: "audit"}
			e.Act, e.Subsystem = gitlabAct(strings.ToLower(e.Code)), model.Application
			var s entitySet
			s.codeHost(model.User, model.Actor, "gitlab", `\`, doc.text("author_name|details.author_name"))
			s.ip(model.Src, doc.text("ip_address|details.ip_address"))
			target := doc.text("target_details|details.target_details")
			if doc.text("target_type|details.target_type") == "User" {
				s.codeHost(model.User, model.Target, "gitlab", `\`, target)
			}
			s.codeHost(model.Resource, model.Target, "gitlab", "/", doc.text("entity_path|details.entity_path"))
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}

// gitlabAct says what an audit event did, by the words of its name.
func gitlabAct(name string) model.Act {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(name, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("failed_login", "login_failed", "failed login"):
		return model.ActLogonFailed
	case has("login", "signed in", "authenticated"):
		return model.ActLogon
	case has("token", "ssh_key", "deploy_key", "gpg_key") && has("creat", "add"):
		return model.ActKeyIssued
	case has("user_access", "member", "access_level", "admin", "impersonat", "password", "two_factor"):
		return model.ActAccountChange
	case has("download", "clone", "export"):
		return model.ActObjectRead
	case has("destroy", "delete"):
		return model.ActObjectDelete
	}
	return model.ActConfigChange
}
