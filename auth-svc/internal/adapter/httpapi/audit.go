package httpapi

import (
	"context"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

type listAuditRequest struct {
	pageQuery
	Actor  string `query:"actor"`
	Action string `query:"action"`
	Target string `query:"target"`
	UserID string `query:"user_id"`
	Since  string `query:"since"`
	Until  string `query:"until"`
}

func (a *API) listAudit(ctx context.Context, caller principal.Principal, in listAuditRequest) (pageBody[wire.AuditEntry], error) {
	after, err := a.place("audit", in.Cursor)
	if err != nil {
		return pageBody[wire.AuditEntry]{}, err
	}
	f := identity.AuditFilter{Actor: in.Actor, Action: in.Action, Target: in.Target, UserID: in.UserID}
	var bad []fault.Field
	for _, t := range []struct {
		name, text string
		to         *time.Time
	}{{"since", in.Since, &f.Since}, {"until", in.Until, &f.Until}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			bad = append(bad, fault.Field{Field: t.name, Code: "INVALID", Detail: "must be a time such as 2026-11-21T12:00:00Z"})
		}
	}
	if len(bad) > 0 {
		return pageBody[wire.AuditEntry]{}, fault.Validation(bad...)
	}
	page, err := a.opts.Core.ListAudit(ctx, caller, f, after, in.limit())
	if err != nil {
		return pageBody[wire.AuditEntry]{}, err
	}
	return newPage(a, "audit", page, wire.NewAuditEntry), nil
}
