package identity_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// second shows an answer as the second half of a login.
func second(w *identitytest.World, p *identity.PendingLogin, answer []byte) (identity.Entry, error) {
	return w.Service.LoginFactor(w.T.Context(), identity.FactorInput{Challenge: p.Token, Passkey: answer, Client: identitytest.Laptop})
}

func stepUpBy(w *identitytest.World, c principal.Principal, answer []byte) (identity.Tokens, error) {
	return w.Service.StepUp(w.T.Context(), c, identity.StepUpInput{Passkey: answer, Client: identitytest.Laptop})
}

func TestPasskey_AloneOpensASession(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	key, codes := w.WithPasskey(e.Tokens)
	if len(codes) != 10 {
		t.Errorf("%d recovery codes came with the first factor", len(codes))
	}
	w.Clock.Advance(time.Hour)
	in := must[identity.Entry](t)(w.ShowPasskey(key.Answer(w.AskPasskey())))
	if in.User.ID != e.User.ID || in.Pending != nil {
		t.Errorf("in came %+v", in)
	}
	caller := w.Caller(in.Tokens)
	must[identity.EnrolledPasskey](t)(w.Service.EnrolPasskey(t.Context(), caller, "another")) // it counts as a proof
	l := must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), caller))
	if f := l.Factors[0]; f.Kind != identity.FactorPasskey || !f.UsedAt().Equal(w.Clock.Now()) {
		t.Errorf("listed %+v", f)
	}
	check := must[identity.SessionCheck](t)(w.Service.CheckSession(t.Context(), caller))
	if !slices.Equal(check.Factors, []identity.FactorKind{identity.FactorPasskey}) || check.Proof != identity.ProofFactor {
		t.Errorf("checked as %+v", check)
	}
}

func TestPasskey_FinishesALogin(t *testing.T) {
	w := newWorld(t, ordinary)
	key, codes := w.WithPasskey(w.SignUp("ada").Tokens)
	key.Verifies = false // as a second factor it need not
	p := w.Pending("ada")
	if !slices.Equal(p.Factors, []string{"passkey", "recovery_code"}) {
		t.Errorf("asks for %v", p.Factors)
	}
	in := must[identity.Entry](t)(second(w, p, key.Answer(p.Passkey)))
	if in.User.Username != "ada" {
		t.Errorf("in came %+v", in.User)
	}
	must[identity.Entry](t)(w.ShowFactor(w.Pending("ada"), codes[0])) // a recovery code stands in for it
	_, err := w.ShowFactor(w.Pending("ada"), secret.NewString("123456"))
	wantFault(t, err, fault.InvalidCredentials) // there is no app
}

func TestPasskey_OneAnswerOneUse(t *testing.T) {
	w := newWorld(t, ordinary)
	key, _ := w.WithPasskey(w.SignUp("ada").Tokens, identitytest.Countless) // only the challenge stands in the way
	answer := key.Answer(w.AskPasskey())
	must[identity.Entry](t)(w.ShowPasskey(answer))
	_, err := w.ShowPasskey(answer)
	wantFault(t, err, fault.InvalidCredentials)
	late := key.Answer(w.AskPasskey())
	w.Clock.Advance(5 * time.Minute)
	_, err = w.ShowPasskey(late)
	wantFault(t, err, fault.InvalidCredentials)
}

func TestPasskey_AnswersAreForOnePurposeAndPerson(t *testing.T) {
	w := newWorld(t, ordinary)
	ada, bob := w.SignUp("ada"), w.SignUp("bob")
	key, _ := w.WithPasskey(ada.Tokens, identitytest.Countless)
	bobs, _ := w.WithPasskey(bob.Tokens, identitytest.Countless)
	pending, other := w.Pending("ada"), w.Pending("ada")
	asked := func(tokens identity.Tokens) []byte {
		return must[[]byte](t)(w.Service.AskStepUp(t.Context(), w.Caller(tokens)))
	}
	enrol := must[identity.EnrolledPasskey](t)(w.Service.EnrolPasskey(t.Context(), w.Caller(ada.Tokens), "x"))
	caller := w.Caller(ada.Tokens)
	for name, try := range map[string]func() error{
		"login by step-up":        func() error { _, err := w.ShowPasskey(key.Answer(asked(ada.Tokens))); return err },
		"login by second factor":  func() error { _, err := w.ShowPasskey(key.Answer(pending.Passkey)); return err },
		"login by registration":   func() error { _, err := w.ShowPasskey(key.Answer(enrol.Options)); return err },
		"second by login":         func() error { _, err := second(w, pending, key.Answer(w.AskPasskey())); return err },
		"second by another login": func() error { _, err := second(w, pending, key.Answer(other.Passkey)); return err },
		"second by bob's key":     func() error { _, err := second(w, pending, bobs.Answer(pending.Passkey)); return err },
		"step-up by login":        func() error { _, err := stepUpBy(w, caller, key.Answer(w.AskPasskey())); return err },
		"step-up for bob":         func() error { _, err := stepUpBy(w, caller, key.Answer(asked(bob.Tokens))); return err },
		"step-up by bob's key":    func() error { _, err := stepUpBy(w, caller, bobs.Answer(asked(ada.Tokens))); return err },
		"registration by login": func() error {
			_, err := w.Service.ConfirmPasskey(t.Context(), caller, identitytest.Laptop, enrol.Factor.ID, identitytest.NewKey(t).Create(w.AskPasskey()))
			return err
		},
		"registration for another factor": func() error {
			more := must[identity.EnrolledPasskey](t)(w.Service.EnrolPasskey(t.Context(), w.Caller(bob.Tokens), "y"))
			_, err := w.Service.ConfirmPasskey(t.Context(), w.Caller(bob.Tokens), identitytest.Laptop, more.Factor.ID, identitytest.NewKey(t).Create(enrol.Options))
			return err
		},
		"an owner's name on bob's key": func() error {
			stolen := *bobs
			stolen.Handle = key.Handle
			_, err := w.ShowPasskey(stolen.Answer(w.AskPasskey()))
			return err
		},
		"no name": func() error {
			nameless := *key
			nameless.Handle = nil
			_, err := w.ShowPasskey(nameless.Answer(w.AskPasskey()))
			return err
		},
		"nobody's key": func() error { _, err := w.ShowPasskey(identitytest.NewKey(t).Answer(w.AskPasskey())); return err },
		"not verified": func() error {
			lax := *key
			lax.Verifies = false
			_, err := w.ShowPasskey(lax.Answer(w.AskPasskey()))
			return err
		},
		"a forged ask":   func() error { _, err := w.ShowPasskey(key.Answer([]byte(`{"Challenge":"AAAA"}`))); return err },
		"no answer":      func() error { _, err := w.ShowPasskey(nil); return err },
		"a large answer": func() error { _, err := w.ShowPasskey(make([]byte, 1<<20)); return err },
	} {
		err := try()
		wantFault(t, err, fault.InvalidCredentials)
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	must[identity.Entry](t)(second(w, pending, key.Answer(pending.Passkey))) // nothing of it has spent what is good
	must[identity.Tokens](t)(stepUpBy(w, caller, key.Answer(asked(ada.Tokens))))
}

func TestPasskey_CounterThatGoesBack(t *testing.T) {
	w, box := newMailWorld(t)
	e := w.SignUp("ada")
	key, _ := w.WithPasskey(e.Tokens)
	twin := *key
	must[identity.Entry](t)(w.ShowPasskey(key.Answer(w.AskPasskey())))
	_, err := w.ShowPasskey(twin.Answer(w.AskPasskey()))
	wantFault(t, err, fault.InvalidCredentials)
	row := w.Audit()[len(w.Audit())-1]
	if row.Action != "factor.counter_regressed" || row.Target != "user:"+e.User.ID {
		t.Errorf("the trail ends with %+v", row)
	}
	if n := kinds(box(), identity.MailPasskeyCopied); n != 1 {
		t.Errorf("%d mails tell of it", n)
	}
	must[identity.Entry](t)(w.ShowPasskey(key.Answer(w.AskPasskey())))
}

func TestPasskey_StepUpLeavesNothingToReplay(t *testing.T) {
	w := newWorld(t, identity.Policy{ReuseWindow: 10 * time.Second})
	e := w.SignUp("ada")
	key, _ := w.WithPasskey(e.Tokens)
	w.Clock.Advance(10 * time.Minute)
	options := must[[]byte](t)(w.Service.AskStepUp(t.Context(), w.Caller(e.Tokens)))
	after := must[identity.Tokens](t)(stepUpBy(w, w.Caller(e.Tokens), key.Answer(options)))
	must[identity.EnrolledPasskey](t)(w.Service.EnrolPasskey(t.Context(), w.Caller(after), "x"))
	_, err := w.Service.EnrolPasskey(t.Context(), w.Caller(e.Tokens), "x")
	wantFault(t, err, fault.Forbidden) // the access token of before has no share in it
	_, err = w.Refresh(e.Tokens.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken) // inside the window
	_, err = w.Refresh(after.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken) // it was theft
}

func TestPasskey_Registration(t *testing.T) {
	w := newWorld(t, ordinary)
	e, bob := w.SignUp("ada"), w.SignUp("bob")
	key, _ := w.WithPasskey(e.Tokens)
	begin := func(tokens identity.Tokens) identity.EnrolledPasskey {
		return must[identity.EnrolledPasskey](t)(w.Service.EnrolPasskey(t.Context(), w.Caller(tokens), "more"))
	}
	confirm := func(tokens identity.Tokens, id string, answer []byte) error {
		_, err := w.Service.ConfirmPasskey(t.Context(), w.Caller(tokens), identitytest.Laptop, id, answer)
		return err
	}
	b := begin(bob.Tokens)
	wantFault(t, confirm(bob.Tokens, b.Factor.ID, key.Create(b.Options)), fault.Conflict) // somebody's already
	wantFault(t, confirm(e.Tokens, b.Factor.ID, identitytest.NewKey(t).Create(b.Options)), fault.NotFound)
	if w.MustLogin("bob", identitytest.Password).Pending != nil {
		t.Error("a passkey that was never confirmed guards its owner")
	}
	for range 9 {
		n := begin(e.Tokens)
		if err := confirm(e.Tokens, n.Factor.ID, identitytest.NewKey(t).Create(n.Options)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Service.EnrolPasskey(t.Context(), w.Caller(e.Tokens), "one too many")
	wantFault(t, err, fault.Conflict)
	w.Clock.Advance(10 * time.Minute)
	_, err = w.Service.EnrolPasskey(t.Context(), w.Caller(bob.Tokens), "late")
	wantFault(t, err, fault.Forbidden)

	f := must[identity.Factor](t)(w.Service.RenameFactor(t.Context(), w.Caller(bob.Tokens), b.Factor.ID, " blue "))
	if f.Name != "blue" {
		t.Errorf("renamed to %q", f.Name)
	}
	_, err = w.Service.RenameFactor(t.Context(), w.Caller(e.Tokens), b.Factor.ID, "mine")
	wantFault(t, err, fault.NotFound)
}

func TestPasskey_RemovedAndBlockedOpenNothing(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	key, _ := w.WithPasskey(e.Tokens)
	answer := key.Answer(w.AskPasskey())
	l := must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), w.Caller(e.Tokens)))
	if err := w.Service.RemoveFactor(t.Context(), w.Caller(e.Tokens), identitytest.Laptop, l.Factors[0].ID); err != nil {
		t.Fatal(err)
	}
	_, err := w.ShowPasskey(answer)
	wantFault(t, err, fault.InvalidCredentials)

	bob := w.SignUp("bob")
	bobs, _ := w.WithPasskey(bob.Tokens)
	if _, err := w.Service.SetStatus(identity.AsOperator(t.Context()), principal.Principal{}, bob.User.ID, identity.Blocked); err != nil {
		t.Fatal(err)
	}
	_, err = w.ShowPasskey(bobs.Answer(w.AskPasskey()))
	wantFault(t, err, fault.AccountDeactivated)
}

// An answer costs one signature and one reading, whoever's it is.
func TestPasskey_UnknownCostsWhatKnownDoes(t *testing.T) {
	judge := &counting{}
	w := newWorldWith(t, ordinary, func(o *identity.Options) { o.WebAuthn = judge })
	key, _ := w.WithPasskey(w.SignUp("ada").Tokens)
	wrong := *key
	wrong.Secret = []byte("another")
	for name, k := range map[string]*identitytest.Key{"known": &wrong, "unknown": identitytest.NewKey(t)} {
		options := w.AskPasskey()
		judge.n = 0
		views, txs := w.Store.Views.Load(), w.Store.Txs.Load()
		_, err := w.ShowPasskey(k.Answer(options))
		wantFault(t, err, fault.InvalidCredentials)
		if judge.n != 1 || w.Store.Views.Load()-views != 1 || w.Store.Txs.Load() != txs {
			t.Errorf("%s: %d signatures, %d readings, %d writings", name, judge.n, w.Store.Views.Load()-views, w.Store.Txs.Load()-txs)
		}
	}
}

type counting struct {
	identitytest.WebAuthn
	n int
}

func (c *counting) Answered(challenge string, p identity.Passkey, verify bool, answer []byte) (uint32, error) {
	c.n++
	return c.WebAuthn.Answered(challenge, p, verify, answer)
}

func TestResetFactors_EndsSessionsAndTells(t *testing.T) {
	w, box := newMailWorld(t)
	admin := w.SignUpAdmin("root")
	e, bob := w.SignUp("ada"), w.SignUp("bob")
	w.WithPasskey(e.Tokens)
	_, err := w.Service.ResetFactors(t.Context(), w.Caller(bob.Tokens), identitytest.Laptop, e.User.ID, "")
	wantFault(t, err, fault.Forbidden)
	_, err = w.Service.ResetFactors(t.Context(), w.Caller(e.Tokens), identitytest.Laptop, e.User.ID, "")
	wantFault(t, err, fault.Forbidden) // scope self does not reach
	w.Clock.Advance(time.Hour)
	_, err = w.Service.ResetFactors(t.Context(), w.Caller(admin.Tokens), identitytest.Laptop, e.User.ID, "")
	wantFault(t, err, fault.Forbidden) // the proof is old
	admin = w.MustLogin("root", identitytest.Password)
	n, err := w.Service.ResetFactors(t.Context(), w.Caller(admin.Tokens), identitytest.Laptop, e.User.ID, "")
	if n != 1 || err != nil {
		t.Fatalf("removed %d, %v", n, err)
	}
	_, err = w.Refresh(e.Tokens.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
	if w.MustLogin("ada", identitytest.Password).Pending != nil {
		t.Error("a factor is still asked for")
	}
	if row := findAct(w, "factor.reset"); row.Actor != "user:"+admin.User.ID || row.Target != "user:"+e.User.ID {
		t.Errorf("the trail says %+v", row)
	}
	if n := kinds(box(), identity.MailFactorsReset); n != 1 {
		t.Errorf("%d mails tell of it", n)
	}
	_, err = w.Service.ResetFactors(t.Context(), w.Caller(admin.Tokens), identitytest.Laptop, e.User.ID, "none")
	wantFault(t, err, fault.NotFound)
}

func findAct(w *identitytest.World, name string) (found identity.AuditRow) {
	for _, row := range w.Audit() {
		if row.Action == name {
			found = row
		}
	}
	return found
}

func TestFactors_EveryChangeIsTold(t *testing.T) {
	w, box := newMailWorld(t)
	e := w.SignUp("ada")
	_, codes := w.WithPasskey(e.Tokens)
	must[identity.Entry](t)(w.ShowFactor(w.Pending("ada"), codes[0]))
	caller := w.Caller(e.Tokens)
	must[[]secret.String](t)(w.Service.NewRecoveryCodes(t.Context(), caller, identitytest.Laptop))
	l := must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), caller))
	begun := must[identity.EnrolledFactor](t)(w.Service.EnrolFactor(t.Context(), caller, "never shown"))
	for _, id := range []string{l.Factors[0].ID, begun.Factor.ID} { // of one that guarded nothing nobody is told
		if err := w.Service.RemoveFactor(t.Context(), caller, identitytest.Laptop, id); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []identity.MailKind{
		identity.MailFactorAdded, identity.MailRecoveryCodeSpent, identity.MailRecoveryCodes, identity.MailFactorRemoved,
	} {
		if n := kinds(box(), kind); n != 1 {
			t.Errorf("%d mails of kind %s", n, kind)
		}
	}
}

// newMailWorld has a post, and a look into what waits there.
func newMailWorld(t *testing.T) (*identitytest.World, func() []identity.OutMail) {
	w := newWorldWith(t, ordinary, func(o *identity.Options) {
		identitytest.NewMailbox().Use(o)
	})
	return w, func() (mails []identity.OutMail) {
		w.Write(func(ctx context.Context, tx identity.Tx) (err error) {
			mails, err = tx.LeaseMails(ctx, tx.Now(), 100)
			return err
		})
		return mails
	}
}

func kinds(mails []identity.OutMail, kind identity.MailKind) (n int) {
	for _, m := range mails {
		if m.Kind == kind {
			n++
		}
	}
	return n
}
