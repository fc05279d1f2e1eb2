package identity_test

import (
	"slices"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

var ada = identity.SignupInput{Email: "ada@example.org", Username: "ada", Client: identitytest.Laptop}

func askSignup(w *identitytest.World, in identity.SignupInput) []byte {
	w.T.Helper()
	return must[[]byte](w.T)(w.Service.AskPasskeySignup(w.T.Context(), in))
}

// signUpByPasskey makes a person with nothing but a passkey.
func signUpByPasskey(w *identitytest.World, in identity.SignupInput) (identity.NewPerson, *identitytest.Key) {
	w.T.Helper()
	key := identitytest.NewKey(w.T)
	return must[identity.NewPerson](w.T)(w.Service.SignupPasskey(w.T.Context(), in, key.Create(askSignup(w, in)))), key
}

func TestPasskeySignup_MakesAPersonWithoutAPassword(t *testing.T) {
	w := newWorld(t, ordinary)
	hashes := w.Hasher.Calls.Load()
	made, key := signUpByPasskey(w, ada)
	if len(made.RecoveryCodes) != 10 || made.User.Email != "ada@example.org" || !made.User.EmailVerifiedAt.IsZero() {
		t.Errorf("made %+v with %d codes", made.User, len(made.RecoveryCodes))
	}
	if w.Hasher.Calls.Load() != hashes {
		t.Error("a password was hashed")
	}
	caller := w.Caller(made.Tokens)
	check := must[identity.SessionCheck](t)(w.Service.CheckSession(t.Context(), caller))
	if !slices.Equal(check.Factors, []identity.FactorKind{identity.FactorPasskey}) || check.Proof != identity.ProofFactor {
		t.Errorf("checked as %+v", check)
	}
	in := must[identity.Entry](t)(w.ShowPasskey(key.Answer(w.AskPasskey())))
	if in.User.ID != made.User.ID || in.Pending != nil {
		t.Errorf("in came %+v", in)
	}
	for _, guess := range []string{"", "-", identitytest.Password} {
		_, err := w.Service.Login(t.Context(), identity.LoginInput{Identifier: "ada", Password: text(guess), Client: identitytest.Laptop})
		wantFault(t, err, fault.InvalidCredentials)
	}
}

func TestPasskeySignup_TheQuestionTellsNothingOfNames(t *testing.T) {
	w := newWorld(t, ordinary)
	w.SignUp("ada")
	taken, free := identitytest.NewKey(t), identitytest.NewKey(t)
	if a, b := askSignup(w, ada), askSignup(w, identity.SignupInput{Username: "bob"}); len(a) != len(b) {
		t.Errorf("a taken name is asked %q, a free one %q", a, b)
	}
	_, err := w.Service.SignupPasskey(t.Context(), ada, taken.Create(askSignup(w, ada)))
	wantFault(t, err, fault.UserExists) // as with a password
	must[identity.NewPerson](t)(w.Service.SignupPasskey(t.Context(), identity.SignupInput{Username: "bob", Client: identitytest.Laptop},
		free.Create(askSignup(w, identity.SignupInput{Username: "bob"}))))
	_, err = w.ShowPasskey(taken.Answer(w.AskPasskey())) // nothing of the refused one is left
	wantFault(t, err, fault.InvalidCredentials)
}

func TestPasskeySignup_AnswersThatDoNotHold(t *testing.T) {
	w := newWorld(t, ordinary)
	bob := identity.SignupInput{Username: "bob", Client: identitytest.Laptop}
	refused := func(what string, in identity.SignupInput, answer []byte) {
		t.Helper()
		_, err := w.Service.SignupPasskey(t.Context(), in, answer)
		if fault.KindOf(err) != fault.InvalidCredentials {
			t.Errorf("%s: %v", what, err)
		}
	}
	key := identitytest.NewKey(t)
	careless := identitytest.NewKey(t)
	careless.Verifies = false
	refused("a key that has not seen its owner", bob, careless.Create(askSignup(w, bob)))
	refused("asked for somebody else", bob, key.Create(askSignup(w, ada)))
	refused("asked for a login", bob, key.Create(w.AskPasskey()))
	refused("nothing", bob, nil)
	refused("too much", bob, make([]byte, 33<<10))

	owner := w.SignUp("owner")
	enrol := must[identity.EnrolledPasskey](t)(w.Service.EnrolPasskey(t.Context(), w.Caller(owner.Tokens), "x"))
	refused("asked for an enrolment", bob, key.Create(enrol.Options))
	_, err := w.Service.ConfirmPasskey(t.Context(), w.Caller(owner.Tokens), identitytest.Laptop, enrol.Factor.ID, key.Create(askSignup(w, bob)))
	wantFault(t, err, fault.InvalidCredentials) // nor the other way round

	late := key.Create(askSignup(w, bob))
	w.Clock.Advance(5 * time.Minute)
	refused("late", bob, late)

	answer := key.Create(askSignup(w, bob))
	must[identity.NewPerson](t)(w.Service.SignupPasskey(t.Context(), bob, answer))
	refused("once more", bob, answer)
	refused("a passkey that is somebody's", ada, key.Create(askSignup(w, ada)))
	_, err = w.Service.AskPasskeySignup(t.Context(), identity.SignupInput{Email: "x"})
	wantFields(t, err, "email")
	_, err = w.Service.AskPasskeySignup(t.Context(), identity.SignupInput{})
	wantFields(t, err, "email")
}

func TestPasskeySignup_TheLastPasskeyStaysUntilThereIsAPassword(t *testing.T) {
	w := newWorld(t, ordinary)
	made, _ := signUpByPasskey(w, ada)
	caller := w.Caller(made.Tokens)
	l := must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), caller))
	wantFault(t, w.Service.RemoveFactor(t.Context(), caller, identitytest.Laptop, l.Factors[0].ID), fault.Conflict)
	if err := w.Service.ChangePassword(t.Context(), caller, identitytest.Laptop, secret.String{}, text(identitytest.Password)); err != nil {
		t.Fatalf("a first password: %v", err)
	}
	if err := w.Service.RemoveFactor(t.Context(), caller, identitytest.Laptop, l.Factors[0].ID); err != nil {
		t.Errorf("with a password: %v", err)
	}
}

// A passkey that never asks its owner for anything is good as a second factor. Where passkeys are all there is it would be no way in,
// and with it in the account the last one that is could be removed.
func TestPasskeySignup_AFurtherPasskeyMustBeAWayInToo(t *testing.T) {
	w := newWorld(t, ordinary)
	made, _ := signUpByPasskey(w, ada)
	caller := w.Caller(made.Tokens)
	add := func(verifies bool) error {
		key := identitytest.NewKey(t)
		key.Verifies = verifies
		e := must[identity.EnrolledPasskey](t)(w.Service.EnrolPasskey(t.Context(), caller, "another"))
		_, err := w.Service.ConfirmPasskey(t.Context(), caller, identitytest.Laptop, e.Factor.ID, key.Create(e.Options))
		return err
	}
	wantFault(t, add(false), fault.InvalidCredentials)
	first := must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), caller)).Factors[0].ID
	wantFault(t, w.Service.RemoveFactor(t.Context(), caller, identitytest.Laptop, first), fault.Conflict)
	if err := add(true); err != nil {
		t.Errorf("one that verifies: %v", err)
	}
	if err := w.Service.RemoveFactor(t.Context(), caller, identitytest.Laptop, first); err != nil {
		t.Errorf("the first, with another way in: %v", err)
	}
	if err := w.Service.ChangePassword(t.Context(), caller, identitytest.Laptop, secret.String{}, text(identitytest.Password)); err != nil {
		t.Fatalf("a first password: %v", err)
	}
	if err := add(false); err != nil {
		t.Errorf("beside a password: %v", err)
	}
}

// TestPasskeySignup_GettingBackInByMail: the mailbox alone is enough only while nobody had shown it to be theirs.
func TestPasskeySignup_GettingBackInByMail(t *testing.T) {
	for _, known := range []bool{false, true} {
		w, box, _, _ := posted(t)
		bob := identity.SignupInput{Email: "bob@example.org", Client: identitytest.Laptop}
		made, key := signUpByPasskey(w, bob)
		link := box.Next(t, identity.MailVerify, "bob@example.org").Text
		if known {
			if err := w.Service.VerifyEmail(t.Context(), text(link)); err != nil {
				t.Fatal(err)
			}
		}
		forgot(w, "bob@example.org")
		if err := (resetter{w, "a first password of bob's"}).with(box.Next(t, identity.MailReset, "bob@example.org").Text); err != nil {
			t.Fatal(err)
		}
		in := w.MustLogin("bob@example.org", "a first password of bob's")
		if !known {
			if in.Pending != nil {
				t.Error("a passkey of before guards whoever has shown the address to be theirs")
			}
			_, err := w.ShowPasskey(key.Answer(w.AskPasskey()))
			wantFault(t, err, fault.InvalidCredentials)
			continue
		}
		if in.Pending == nil {
			t.Fatal("the mailbox alone was enough")
		}
		must[identity.Entry](t)(w.ShowFactor(in.Pending, made.RecoveryCodes[0]))
		must[identity.Entry](t)(w.ShowPasskey(key.Answer(w.AskPasskey())))
	}
}
