package identity_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// posted is a world whose mails are sent, and one person whose address has just been asked about.
func posted(t *testing.T) (*identitytest.World, *identitytest.Mailbox, identity.Entry, string) {
	box := identitytest.NewMailbox()
	w := newWorldWith(t, ordinary, box.Use)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Service.RunMail(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("RunMail: %v", err)
		}
	})
	e := w.SignUp("ada")
	return w, box, e, box.Next(t, identity.MailVerify, "ada@example.org").Text
}

func forgot(w *identitytest.World, identifier string) {
	w.T.Helper()
	if err := w.Service.ForgotPassword(w.T.Context(), identifier, identitytest.Laptop); err != nil {
		w.T.Fatalf("forgot %s: %v", identifier, err)
	}
}

func (r resetter) with(token string) error {
	return r.w.Service.ResetPassword(r.w.T.Context(), text(token), text(r.password), stranger)
}

type resetter struct {
	w        *identitytest.World
	password string
}

func verified(w *identitytest.World, id string) (is bool) {
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		u, err := tx.User(ctx, id)
		is = !u.EmailVerifiedAt.IsZero()
		return err
	})
	return is
}

func TestVerify_ALinkWorksOnce(t *testing.T) {
	w, _, e, link := posted(t)
	if verified(w, e.User.ID) {
		t.Error("verified without a link")
	}
	if err := w.Service.VerifyEmail(t.Context(), text(link)); err != nil || !verified(w, e.User.ID) {
		t.Errorf("verify: %v", err)
	}
	wantFault(t, w.Service.VerifyEmail(t.Context(), text(link)), fault.Gone)
	wantFault(t, resetter{w, "another horse"}.with(link), fault.Invalid) // a link is for one purpose
	w.Audit()
}

func TestVerify_AnotherAddressNeedsAnotherLink(t *testing.T) {
	w, box, e, link := posted(t)
	if _, err := w.Service.UpdateMe(t.Context(), w.Caller(e.Tokens), identity.UserChange{
		Email: new("Ada.New@example.org"), CurrentPassword: text(identitytest.Password), Client: identitytest.Laptop,
	}); err != nil {
		t.Fatal(err)
	}
	got := map[string]identity.Mail{}
	for range 2 {
		mail := <-box.Got
		got[mail.Subject+" to "+mail.To] = mail
	}
	fresh := got["verify_email to Ada.New@example.org"].Text
	if _, told := got["email_changed to ada@example.org"]; !told || fresh == "" {
		t.Fatalf("got %v", got)
	}
	wantFault(t, w.Service.VerifyEmail(t.Context(), text(link)), fault.Gone)
	if err := w.Service.VerifyEmail(t.Context(), text(fresh)); err != nil {
		t.Error(err)
	}
}

func TestVerify_ANewerLinkEndsTheOneBefore(t *testing.T) {
	w, box, e, first := posted(t)
	if err := w.Service.ResendVerification(t.Context(), w.Caller(e.Tokens), identitytest.Laptop); err != nil {
		t.Fatal(err)
	}
	second := box.Next(t, identity.MailVerify, "ada@example.org").Text
	wantFault(t, w.Service.VerifyEmail(t.Context(), text(first)), fault.Gone)
	if err := w.Service.VerifyEmail(t.Context(), text(second)); err != nil {
		t.Error(err)
	}
	// A verified address is not asked again, and nobody is told.
	if err := w.Service.ResendVerification(t.Context(), w.Caller(e.Tokens), identitytest.Laptop); err != nil {
		t.Error(err)
	}
	forgot(w, "ada")
	box.Next(t, identity.MailReset, "ada@example.org")
}

func TestReset_SetsThePasswordEndsEverySessionAndTells(t *testing.T) {
	w, box, e, _ := posted(t)
	forgot(w, "ADA@example.org")
	link := box.Next(t, identity.MailReset, "ada@example.org").Text
	wantFault(t, resetter{w, "short"}.with(link), fault.Invalid) // spends nothing
	if err := (resetter{w, "another horse"}).with(link); err != nil {
		t.Fatal(err)
	}
	box.Next(t, identity.MailPasswordChanged, "ada@example.org")
	_, err := w.Refresh(e.Tokens.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
	if _, ok := w.Revoked(identity.KindSession, e.Tokens.SessionID); !ok {
		t.Error("access tokens live on")
	}
	_, err = w.Login("ada", identitytest.Password)
	wantFault(t, err, fault.InvalidCredentials)
	w.MustLogin("ada", "another horse")
	if !verified(w, e.User.ID) {
		t.Error("a reset by mail does not verify the address it went to")
	}
	wantFault(t, resetter{w, "yet another"}.with(link), fault.Gone)
}

func TestReset_OpensALockedAccount(t *testing.T) {
	w, box, _, _ := posted(t)
	wantKind(w, 10, fault.InvalidCredentials, stranger, "ada", "wrong")
	wantKind(w, 1, fault.RateLimited, stranger, "ada", "wrong")
	forgot(w, "ada")
	if err := (resetter{w, "another horse"}).with(box.Next(t, identity.MailReset, "ada@example.org").Text); err != nil {
		t.Fatal(err)
	}
	if err := guessAs(w, stranger, "ada", "another horse"); err != nil {
		t.Error(err)
	}
}

func TestReset_OfManyAtOnceOneWins(t *testing.T) {
	w, box, _, _ := posted(t)
	forgot(w, "ada")
	link := box.Next(t, identity.MailReset, "ada@example.org").Text
	var won, gone atomic.Int64
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			switch err := (resetter{w, fmt.Sprintf("another horse %d", i)}).with(link); {
			case err == nil:
				won.Add(1)
			case fault.KindOf(err) == fault.Gone:
				gone.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || gone.Load() != 9 {
		t.Errorf("%d won, %d were told it is gone", won.Load(), gone.Load())
	}
}

func TestReset_ALinkDies(t *testing.T) {
	for name, kill := range map[string]func(w *identitytest.World, box *identitytest.Mailbox, e identity.Entry){
		"after an hour of the store's time": func(w *identitytest.World, _ *identitytest.Mailbox, _ identity.Entry) {
			w.Clock.Advance(time.Hour)
		},
		"by a newer one": func(w *identitytest.World, box *identitytest.Mailbox, _ identity.Entry) {
			forgot(w, "ada")
			box.Next(w.T, identity.MailReset, "ada@example.org")
		},
		"by a password change": func(w *identitytest.World, _ *identitytest.Mailbox, e identity.Entry) {
			if err := w.Service.ChangePassword(w.T.Context(), w.Caller(e.Tokens), identitytest.Laptop, text(identitytest.Password), text("third horse")); err != nil {
				w.T.Error(err)
			}
		},
		"by a change of address": func(w *identitytest.World, _ *identitytest.Mailbox, e identity.Entry) {
			if _, err := w.Service.UpdateMe(w.T.Context(), w.Caller(e.Tokens), identity.UserChange{Email: new("x@example.org"), CurrentPassword: text(identitytest.Password)}); err != nil {
				w.T.Error(err)
			}
		},
		"with an address changed behind the service's back": func(w *identitytest.World, _ *identitytest.Mailbox, e identity.Entry) {
			change(w, e.User.ID, func(u *identity.User) { u.Email, u.EmailKey = "y@example.org", "y@example.org" })
		},
		"with the account blocked": func(w *identitytest.World, _ *identitytest.Mailbox, e identity.Entry) {
			change(w, e.User.ID, func(u *identity.User) { u.Status = identity.Blocked })
		},
		"with the account": func(w *identitytest.World, _ *identitytest.Mailbox, e identity.Entry) {
			if err := w.Service.DeleteMe(w.T.Context(), w.Caller(e.Tokens), identitytest.Laptop, text(identitytest.Password)); err != nil {
				w.T.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, box, e, _ := posted(t)
			forgot(w, "ada")
			link := box.Next(t, identity.MailReset, "ada@example.org").Text
			kill(w, box, e)
			wantFault(t, resetter{w, "another horse"}.with(link), fault.Gone)
		})
	}
}

func TestReset_ForgeriesCostNoReading(t *testing.T) {
	w, box, _, _ := posted(t)
	forgot(w, "ada")
	good := box.Next(t, identity.MailReset, "ada@example.org").Text
	views, txs := w.Store.Views.Load(), w.Store.Txs.Load()
	for _, forged := range []string{
		"", "crm_", good + "A", good[:len(good)-1], "crr_" + good[4:], good[:20] + string(good[20]^1) + good[21:], strings.Repeat("x", 1<<16),
	} {
		wantFault(t, resetter{w, "another horse"}.with(forged), fault.Invalid)
	}
	if w.Store.Views.Load()-views > 1 || w.Store.Txs.Load()-txs > 1 { // the post may look once by itself
		t.Error("a forged link reaches the store")
	}
}

func TestForgot_SaysAndCostsTheSameForNobody(t *testing.T) {
	w, box, _, _ := posted(t)
	blocked := w.SignUp("blocked").User.ID
	box.Next(t, identity.MailVerify, "blocked@example.org")
	change(w, blocked, func(u *identity.User) { u.Status = identity.Blocked })
	must[identity.Entry](t)(w.Service.Signup(t.Context(), identity.SignupInput{Username: "nomail", Password: text(identitytest.Password)}))
	hashes := w.Hasher.Calls.Load()
	for _, nobody := range []string{"nobody@example.org", "nobody", "blocked", "nomail", "@@@", "+442071838750"} {
		forgot(w, nobody)
	}
	if w.Hasher.Calls.Load() != hashes {
		t.Error("a request costs a hash")
	}
	forgot(w, "ada") // comes after all of the others, and is the first to be sent
	box.Next(t, identity.MailReset, "ada@example.org")
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		n, err := tx.CountMails(ctx)
		if n > 1 { // ada's own may not be noted as sent yet
			t.Errorf("%d requests about nobody stay", n)
		}
		return err
	})
}

func TestForgot_OneClientCantUseUpTheMailsOfOthers(t *testing.T) {
	w, box, _, _ := posted(t)
	w.SignUp("bob")
	box.Next(t, identity.MailVerify, "bob@example.org")
	flood := func(c identity.Client, identifier string, n int) {
		for range n {
			if err := w.Service.ForgotPassword(t.Context(), identifier, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	flood(stranger, "ada", 200)
	flood(identitytest.Laptop, "bob", 1)
	got := 0
	for mail := range box.Got {
		if mail.To == "bob@example.org" {
			break
		}
		got++
	}
	if got != 5 { // of six an hour, the signup has used one
		t.Errorf("ada got %d mails with links, want 5", got)
	}
	// And the client is at its own bound: not even somebody else's mail can be caused from there.
	flood(stranger, "bob", 1)
	w.Clock.Advance(time.Hour)
	flood(stranger, "ada", 1)
	box.Next(t, identity.MailReset, "ada@example.org")
}

func TestPost_SendsTheSameLinkAgainUntilItIsTaken(t *testing.T) {
	w, box, _, _ := posted(t)
	box.Fails.Store(1)
	forgot(w, "ada")
	deadline := time.Now().Add(time.Minute)
	for box.Fails.Load() > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	for i := 0; i < 20 && len(box.Got) == 0; i++ { // the failure is noted, then time passes, then somebody rings
		w.Clock.Advance(time.Minute)
		forgot(w, "nobody")
		for n := 0; n < 200*i && len(box.Got) == 0; n++ { // longer each time, as far as the machine needs it
			time.Sleep(time.Millisecond)
		}
	}
	if err := (resetter{w, "another horse"}).with(box.Next(t, identity.MailReset, "ada@example.org").Text); err != nil {
		t.Error(err)
	}
}

func TestPost_GivesUpWhatIsRefusedForGood(t *testing.T) {
	w, box, _, _ := posted(t)
	box.Err = fault.New(fault.Invalid, "no such mailbox")
	box.Fails.Store(1)
	forgot(w, "ada")
	deadline := time.Now().Add(time.Minute)
	for n := 1; n > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		w.Write(func(ctx context.Context, tx identity.Tx) (err error) { n, err = tx.CountMails(ctx); return err })
	}
	w.Clock.Advance(2 * time.Hour)
	forgot(w, "ada")
	box.Next(t, identity.MailReset, "ada@example.org")
	if len(box.Got) != 0 {
		t.Error("a mail that was refused for good was sent again")
	}
}

func TestPost_AChangeThatIsUndoneSendsNothing(t *testing.T) {
	w, box, _, _ := posted(t)
	_, err := w.Service.Signup(t.Context(), identity.SignupInput{Username: "ada", Email: "eve@example.org", Password: text(identitytest.Password)})
	wantFault(t, err, fault.UserExists)
	forgot(w, "ada")
	box.Next(t, identity.MailReset, "ada@example.org")
}

func TestNotice_OfANewDevice(t *testing.T) {
	w, box, _, _ := posted(t)
	w.MustLogin("ada", identitytest.Password) // the laptop it was signed up on
	if err := guessAs(w, stranger, "ada", identitytest.Password); err != nil {
		t.Fatal(err)
	}
	box.Next(t, identity.MailNewDevice, "ada@example.org")
	if err := guessAs(w, stranger, "ada", identitytest.Password); err != nil { // known by now
		t.Fatal(err)
	}
	forgot(w, "ada")
	box.Next(t, identity.MailReset, "ada@example.org")
}

func TestNotice_OfTheft(t *testing.T) {
	w, box, e, _ := posted(t)
	w.MustRefresh(w.MustRefresh(e.Tokens.RefreshToken).RefreshToken)
	_, err := w.Refresh(e.Tokens.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
	box.Next(t, identity.MailTheft, "ada@example.org")
}

func TestNotice_OfAPasswordChange(t *testing.T) {
	w, box, e, _ := posted(t)
	if err := w.Service.ChangePassword(t.Context(), w.Caller(e.Tokens), identitytest.Laptop, text(identitytest.Password), text("another horse")); err != nil {
		t.Fatal(err)
	}
	box.Next(t, identity.MailPasswordChanged, "ada@example.org")
}

func TestNotice_MailGoesToWhatWasTyped(t *testing.T) {
	w, box, _, _ := posted(t)
	must[identity.Entry](t)(w.Service.Signup(t.Context(), identity.SignupInput{
		Email: "Grace.Hopper@Bücher.example", Password: text(identitytest.Password),
		Client: identity.Client{Address: netip.MustParseAddr("192.0.2.77")},
	}))
	box.Next(t, identity.MailVerify, "Grace.Hopper@xn--bcher-kva.example")
}

func TestNotice_OfAnAddressGoesToTheOldOneWhoeverChangesIt(t *testing.T) {
	w, box, e, _ := posted(t)
	ada := w.Caller(e.Tokens)
	both := func(want ...identity.MailKind) {
		t.Helper()
		var got []identity.MailKind
		for range want {
			select {
			case mail := <-box.Got:
				got = append(got, identity.MailKind(mail.Subject+" "+mail.To))
			case <-time.After(time.Minute):
				t.Fatalf("of %v only %v have come", want, got)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("got the mails %v, want %v", got, want)
		}
	}
	must[identity.Profile](t)(w.Service.UpdateMe(t.Context(), ada, identity.UserChange{
		Email: new("ada@second.example"), CurrentPassword: text(identitytest.Password), Client: identitytest.Laptop,
	}))
	both(identity.MailEmailChanged+" ada@example.org", identity.MailVerify+" ada@second.example")
	must[identity.User](t)(w.Service.EditUser(identity.AsOperator(t.Context()), principal.Principal{}, e.User.ID, identity.UserEdit{
		Email: new("ada@third.example"),
	}))
	both(identity.MailEmailChanged+" ada@second.example", identity.MailVerify+" ada@third.example")
	root := w.SignUpAdmin("root")
	box.Next(t, identity.MailVerify, "root@example.org")
	must[identity.User](t)(w.Service.EditUser(t.Context(), w.Caller(root.Tokens), e.User.ID, identity.UserEdit{Email: new("")}))
	box.Next(t, identity.MailEmailChanged, "ada@third.example") // also when the address goes without another
}

func TestMail_AFullOutboxDropsAndSaysSo(t *testing.T) {
	const full = 10_000
	box, heard := identitytest.NewMailbox(), &identitytest.Observer{}
	w := newWorldWith(t, ordinary, func(o *identity.Options) { box.Use(o); o.Observer = heard })
	ada := w.SignUp("ada") // the mail that verifies her address is the first
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		for i := range full - 1 {
			m := identity.OutMail{
				ID: fmt.Sprintf("ffffffff-0000-7000-8000-%012x", i), Kind: identity.MailReset, UserID: ada.User.ID, To: "ada@example.org",
				CreatedAt: tx.Now(), DueAt: tx.Now().Add(time.Hour),
			}
			if err := tx.InsertMail(ctx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if n := heard.Heard("mail dropped_full"); n != 0 {
		t.Errorf("%d dropped although there was room", n)
	}
	forgot(w, "ada@example.org")
	if n := heard.Heard("mail dropped_full"); n != 1 {
		t.Errorf("%d dropped, want the one beyond the bound", n)
	}
	for range 40 {
		forgot(w, "ada@example.org")
	}
	if heard.Heard("mail dropped_limit") == 0 {
		t.Error("a mailbox that gets too many is not told apart")
	}

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Service.RunMail(ctx) }()
	defer func() { stop(); <-done }()
	for end := time.Now().Add(time.Minute); heard.Heard("mails waiting") < full-1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d mails are said to wait, want %d", heard.Heard("mails waiting"), full)
		}
	}
}
