package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// act is one thing somebody does.
type act struct {
	resource, verb string         // the permission it takes; empty for what every live caller may do to itself
	owner          string         // whose thing it is: scope self reaches only the caller's own
	name           string         // how the audit trail calls it
	target         string         // what it is done to
	detail         map[string]any // names people only by id

	subject string // a person, whose row is there; what client says is sealed for them
	client  Client
}

var (
	errSessionEnded = fault.New(fault.InvalidToken, "the access token is no longer valid")
	errStale        = fault.New(fault.TokenStale, "rights have changed since the access token was issued; refresh it")
	errForbidden    = fault.New(fault.Forbidden, "this needs a permission the caller does not have")
	errNeedsSession = fault.New(fault.Forbidden, "this needs a signed-in session, not an API key")
)

// checkAndLog is the door to every change a caller makes: it authorises and writes the audit row, in the change's own
// transaction, so that neither can happen without the other.
func checkAndLog(ctx context.Context, tx Tx, caller principal.Principal, a act) error {
	if err := check(ctx, tx, caller, a); err != nil {
		return err
	}
	return logAct(ctx, tx, actorOf(ctx, caller), a)
}

// check authorises without a trace, for reading.
func check(ctx context.Context, tx Tx, caller principal.Principal, a act) error {
	if isOperator(ctx) {
		return nil
	}
	rights, err := standing(ctx, tx, caller)
	if err != nil {
		return err
	}
	if a.resource == "" {
		return nil
	}
	own := a.owner == caller.UserID
	now := principal.Principal{Permissions: rights.Permissions}
	if !caller.May(a.resource, a.verb, own) || !now.May(a.resource, a.verb, own) {
		return errForbidden
	}
	return nil
}

// standing asks the store whether the caller's token still holds: somebody who has just been put out must not get one
// more change through because a copy of the log lags behind.
func standing(ctx context.Context, tx Tx, caller principal.Principal) (Rights, error) {
	owner, err := callerOwner(ctx, tx, caller)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return Rights{}, errSessionEnded
	case err != nil:
		return Rights{}, err
	case owner != caller.UserID:
		return Rights{}, errSessionEnded
	}
	rights, err := tx.Rights(ctx, caller.UserID)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		return Rights{}, errSessionEnded
	case err != nil:
		return Rights{}, fmt.Errorf("read the caller's rights: %w", err)
	case rights.Status != Active:
		return Rights{}, errSessionEnded
	case caller.Epoch < rights.Epoch:
		return Rights{}, errStale
	}
	return rights, nil
}

// callerOwner returns whose live session or key the caller comes with, and fault.NotFound when it has ended.
func callerOwner(ctx context.Context, tx Tx, caller principal.Principal) (string, error) {
	switch {
	case caller.SessionID != "" && caller.APIKeyID == "":
		sess, err := tx.Session(ctx, caller.SessionID)
		if err == nil && !tx.Now().Before(sess.RefreshUntil) {
			return "", errSessionEnded
		}
		return sess.UserID, err
	case caller.APIKeyID != "" && caller.SessionID == "":
		key, err := tx.APIKey(ctx, caller.APIKeyID)
		if err == nil && key.expired(tx.Now()) {
			return "", errSessionEnded
		}
		return key.UserID, err
	default:
		return "", errSessionEnded
	}
}

// actorSystem acts where nobody has come in yet: at the first start, at a theft.
const actorSystem = "system"

func actorOf(ctx context.Context, caller principal.Principal) string {
	if isOperator(ctx) {
		return actorOperator
	}
	if caller.APIKeyID != "" {
		return "api_key:" + caller.APIKeyID
	}
	return userTarget(caller.UserID)
}

func userTarget(id string) string    { return "user:" + id }
func sessionTarget(id string) string { return "session:" + id }
func apiKeyTarget(id string) string  { return "api_key:" + id }

// logAct appends to the audit trail. Only checkAndLog and what has no caller yet (signup, login, refresh, first start)
// call it.
func logAct(ctx context.Context, tx Tx, actor string, a act) error {
	if a.detail == nil {
		a.detail = map[string]any{}
	}
	detail, err := json.Marshal(a.detail)
	if err != nil {
		return fmt.Errorf("encode audit detail: %w", err)
	}
	seq, prev, err := tx.AuditHead(ctx)
	if err != nil {
		return fmt.Errorf("read the end of the audit trail: %w", err)
	}
	row := AuditRow{
		Seq: seq + 1, At: tx.Now(), Actor: actor, Action: a.name, Target: a.target, Detail: detail, PrevHash: prev,
	}
	if p := a.client.personal(); p != nil && a.subject != "" {
		row.Subject = a.subject
		if row.Sealed, err = sealFor(ctx, tx, a.subject, row.Seq, p); err != nil {
			return err
		}
	}
	row.Hash = row.hash()
	if err := tx.InsertAudit(ctx, row); err != nil {
		return fmt.Errorf("append to the audit trail: %w", err)
	}
	return nil
}
