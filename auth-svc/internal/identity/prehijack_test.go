package identity_test

import (
	"testing"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Somebody makes an account with another's address, and every other way in there is. When the owner of the address takes the
// account by a reset, none of those ways may be left; of an address that was verified, all of them are the owner's own.
func TestReset_OfAnAddressThatWasNeverVerifiedLeavesNoOtherWayIn(t *testing.T) {
	for _, verify := range []bool{false, true} {
		w, box, e, link := posted(t)
		if verify {
			if err := w.Service.VerifyEmail(t.Context(), text(link)); err != nil {
				t.Fatal(err)
			}
		}
		mallory := w.Caller(e.Tokens)
		key, codes := w.WithPasskey(e.Tokens)
		box.Next(t, identity.MailFactorAdded, "ada@example.org")
		made := makeKey(t, w, mallory, "users:read:self")
		forgot(w, "ada@example.org")
		reset := box.Next(t, identity.MailReset, "ada@example.org").Text
		if err := (resetter{w, "another horse"}).with(reset); err != nil {
			t.Fatal(err)
		}
		_, passkeyErr := w.ShowPasskey(key.Answer(w.AskPasskey()))
		_, keyErr := w.Service.ExchangeAPIKey(t.Context(), made.Secret)
		if verify {
			if passkeyErr != nil || keyErr != nil {
				t.Errorf("a reset of a verified address took away: the passkey %v, the key %v", passkeyErr, keyErr)
			}
			continue
		}
		wantFault(t, passkeyErr, fault.InvalidCredentials)
		wantFault(t, keyErr, fault.InvalidCredentials)
		if _, ok := w.Revoked(identity.KindAPIKey, made.APIKey.ID); !ok {
			t.Error("the tokens that were traded for the key live on")
		}
		owner := must[identity.Entry](t)(w.Login("ada", "another horse"))
		if owner.Pending != nil {
			t.Error("the owner is asked for a factor of somebody else's")
		}
		left := must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), w.Caller(owner.Tokens)))
		if len(left.Factors) != 0 || left.RecoveryCodesLeft != 0 {
			t.Errorf("left: %+v of %d codes", left, len(codes))
		}
	}
}
