package identity_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func newElsewhere(t testing.TB) (*identitytest.World, *identitytest.Elsewhere) {
	e := identitytest.NewElsewhere()
	return newWorldWith(t, ordinary, func(o *identity.Options) { o.Providers = e }), e
}

var adaThere = identity.ProviderClaims{Subject: "ada-1", Email: "ada@example.org", EmailVerified: true, Name: "Ada"}

// markVerified says that somebody's address is theirs, behind the service's back.
func markVerified(w *identitytest.World, userID string) {
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		u, err := tx.User(ctx, userID)
		if err != nil {
			return err
		}
		u.EmailVerifiedAt = tx.Now()
		return tx.UpdateUser(ctx, u)
	})
}

func TestSignIn_NewPersonThenTheSamePerson(t *testing.T) {
	w, e := newElsewhere(t)
	first := must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	if u := first.User; u.Email != "ada@example.org" || u.EmailVerifiedAt.IsZero() || u.Name != "Ada" || u.PasswordHash != "" {
		t.Errorf("new person is %+v", u)
	}
	moved := adaThere
	moved.Email, moved.EmailVerified = "else@example.org", false // only the subject says who it is
	second := must[identity.Entry](t)(w.SignIn(e, "big", moved))
	if second.User.ID != first.User.ID || second.User.Email != "ada@example.org" {
		t.Errorf("second sign-in is %s %q, want %s with the address of before", second.User.ID, second.User.Email, first.User.ID)
	}
	list := must[[]identity.ExternalIdentity](t)(w.Service.ListIdentities(t.Context(), w.Caller(second.Tokens)))
	if len(list) != 1 || list[0].Email != "else@example.org" || list[0].Subject != "ada-1" {
		t.Errorf("identities are %+v", list)
	}
}

func TestSignIn_LinksOnlyAnAddressThatBothSidesHaveVerified(t *testing.T) {
	for name, c := range map[string]struct {
		theirs bool // the provider has verified it
		ours   bool
		claim  string
		want   fault.Kind
		same   bool // comes in as the person that was there
		other  bool // comes in as somebody new
	}{
		"both":                              {theirs: true, ours: true, claim: "ada@example.org", same: true},
		"both, in other case":               {theirs: true, ours: true, claim: "ADA@EXAMPLE.ORG", same: true},
		"we have not, so it may be a trap":  {theirs: true, claim: "ada@example.org", want: fault.UserExists},
		"they have not":                     {ours: true, claim: "ada@example.org", other: true},
		"nobody has":                        {claim: "ada@example.org", other: true},
		"a twin in full width":              {theirs: true, ours: true, claim: "ａda@example.org", want: fault.UserExists},
		"a twin with a mathematical letter": {theirs: true, ours: true, claim: "𝐚da@example.org", want: fault.UserExists},
		"a look-alike that folds apart":     {theirs: true, ours: true, claim: "аda@example.org", other: true},
		"a tag is another mailbox":          {theirs: true, ours: true, claim: "ada+x@example.org", other: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, e := newElsewhere(t)
			ada := w.SignUp("ada")
			if c.ours {
				markVerified(w, ada.User.ID)
			}
			got, err := w.SignIn(e, "big", identity.ProviderClaims{Subject: "1", Email: c.claim, EmailVerified: c.theirs})
			switch {
			case c.same && (err != nil || got.User.ID != ada.User.ID):
				t.Errorf("came in as %q, %v; want ada", got.User.ID, err)
			case c.other && (err != nil || got.User.ID == ada.User.ID || got.User.EmailKey == ada.User.EmailKey):
				t.Errorf("came in as %q with %q, %v; want somebody new without the address", got.User.ID, got.User.Email, err)
			case !c.same && !c.other:
				wantFault(t, err, c.want)
				w.Write(func(ctx context.Context, tx identity.Tx) error {
					list, err := tx.ExternalIdentitiesOf(ctx, ada.User.ID)
					if len(list) != 0 {
						t.Errorf("linked all the same: %+v", list)
					}
					return err
				})
			}
		})
	}
}

// The trap the other way round: an account under a twin of the victim's address, verified by mail to the twin.
func TestSignIn_OurTwinOfAnAddressIsNotTheirs(t *testing.T) {
	w, e := newElsewhere(t)
	mallory := must[identity.Entry](t)(w.Service.Signup(t.Context(), identity.SignupInput{
		Email: "ａda@example.org", Password: text(identitytest.Password), Client: identitytest.Laptop,
	}))
	markVerified(w, mallory.User.ID)
	_, err := w.SignIn(e, "big", adaThere)
	wantFault(t, err, fault.UserExists)
}

func TestSignIn_AnotherSubjectWithTheSameAddressIsSomebodyElse(t *testing.T) {
	w, e := newElsewhere(t)
	must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	heir := adaThere
	heir.Subject = "ada-2"
	_, err := w.SignIn(e, "big", heir)
	wantFault(t, err, fault.UserExists)
}

func TestSignIn_AProviderThatMakesNobodyAndLinksNobody(t *testing.T) {
	w, e := newElsewhere(t)
	_, err := w.SignIn(e, "small", adaThere)
	wantFault(t, err, fault.Forbidden)
	markVerified(w, w.SignUp("ada").User.ID)
	_, err = w.SignIn(e, "small", adaThere)
	wantFault(t, err, fault.UserExists)
}

func TestSignIn_BlockedPeopleStayOut(t *testing.T) {
	w, e := newElsewhere(t)
	ada := must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		u, err := tx.User(ctx, ada.User.ID)
		if err != nil {
			return err
		}
		u.Status = identity.Blocked
		return tx.UpdateUser(ctx, u)
	})
	_, err := w.SignIn(e, "big", adaThere)
	wantFault(t, err, fault.AccountDeactivated)
}

func TestSignIn_AsksForTheSecondFactor(t *testing.T) {
	w, e := newElsewhere(t)
	ada := must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	w.Enrolled(ada.Tokens)
	got := must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	if got.Pending == nil || !got.Tokens.AccessToken.IsZero() || got.User.ID != "" {
		t.Errorf("a factor guards the account, and the provider's word alone opened %+v", got)
	}
}

func TestSignIn_KeepsToTheCapOfSessions(t *testing.T) {
	w, e := newElsewhere(t)
	var last identity.Entry
	for range ordinary.MaxSessions + 3 {
		w.Clock.Advance(time.Second)
		last = must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	}
	page := must[identity.Page[identity.Session]](t)(w.Service.ListSessionsOf(t.Context(), w.Caller(last.Tokens), last.User.ID, identity.Cursor{}, 100))
	if len(page.Items) != ordinary.MaxSessions {
		t.Errorf("%d sessions live, want %d", len(page.Items), ordinary.MaxSessions)
	}
}

func finish(w *identitytest.World, provider, state, browser, code string) error {
	_, err := w.Service.FinishSignIn(w.T.Context(), identity.SignInReturn{
		Provider: provider, State: text(state), Browser: text(browser), Answer: identity.Answer{Code: code},
	})
	return err
}

// altered is another text of the same length and letters.
func altered(state string) string {
	middle := len(state) / 2
	with := "A"
	if state[middle] == 'A' {
		with = "B"
	}
	return state[:middle] + with + state[middle+1:]
}

func TestSignIn_AStateIsForOneBrowserOneProviderAndOneAnswer(t *testing.T) {
	w, e := newElsewhere(t)
	state := w.StartSignIn("big", "browser")
	e.Confirm("big", "c", adaThere)
	wantFault(t, finish(w, "big", state, "other browser", "c"), fault.InvalidCredentials)
	wantFault(t, finish(w, "big", state, "", "c"), fault.InvalidCredentials)
	wantFault(t, finish(w, "small", state, "browser", "c"), fault.InvalidCredentials)
	wantFault(t, finish(w, "big", altered(state), "browser", "c"), fault.InvalidCredentials)
	wantFault(t, finish(w, "none", state, "browser", "c"), fault.NotFound)
	if err := finish(w, "big", state, "browser", "c"); err != nil { // what others tried has cost nothing
		t.Fatal(err)
	}
	e.Confirm("big", "c", adaThere)
	wantFault(t, finish(w, "big", state, "browser", "c"), fault.InvalidCredentials)
}

func TestSignIn_ExpiresOnTheRoad(t *testing.T) {
	w, e := newElsewhere(t)
	state := w.StartSignIn("big", "browser")
	e.Confirm("big", "c", adaThere)
	w.Clock.Advance(10 * time.Minute)
	wantFault(t, finish(w, "big", state, "browser", "c"), fault.InvalidCredentials)
	code := w.SignInCode(e, "big", adaThere)
	w.Clock.Advance(2 * time.Minute)
	_, err := w.Service.ExchangeSignIn(t.Context(), identity.ExchangeInput{Code: code, Verifier: text(identitytest.SignInVerifier)})
	wantFault(t, err, fault.InvalidCredentials)
}

func TestSignIn_TheCodeIsForWhoeverBegan_Once(t *testing.T) {
	w, e := newElsewhere(t)
	code := w.SignInCode(e, "big", adaThere)
	try := func(verifier string) error {
		_, err := w.Service.ExchangeSignIn(t.Context(), identity.ExchangeInput{Code: code, Verifier: text(verifier), Client: identitytest.Laptop})
		return err
	}
	wantFault(t, try("something else"), fault.InvalidCredentials)
	wantFault(t, try(identitytest.SignInChallenge()), fault.InvalidCredentials)
	var in atomic.Int64
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if try(identitytest.SignInVerifier) == nil {
				in.Add(1)
			}
		})
	}
	group.Wait()
	if in.Load() != 1 {
		t.Errorf("one code has let in %d times", in.Load())
	}
}

func TestSignIn_ReturnsOnlyWhereItWasConfigured(t *testing.T) {
	w, _ := newElsewhere(t)
	for to, ok := range map[string]bool{
		"": true, "https://app.example/in?x=1": true, "app.example:/in": true,
		"https://app.example/in": false, "https://app.example/in?x=1&y": false, "https://app.example.evil/in?x=1": false, "https://evil.example/": false,
		"HTTPS://app.example/in?x=1": false, "javascript:alert(1)": false,
	} {
		_, err := w.Service.StartSignIn(t.Context(), identity.SignInStart{
			Provider: "big", ReturnURL: to, Challenge: identitytest.SignInChallenge(), Browser: text("b"), Client: identitytest.Laptop,
		})
		if (err == nil) != ok {
			t.Errorf("%q: %v, want allowed %v", to, err, ok)
		}
	}
	for _, challenge := range []string{"", "plain", strings.Repeat("A", 44), strings.Repeat("=", 43)} {
		_, err := w.Service.StartSignIn(t.Context(), identity.SignInStart{Provider: "big", Challenge: challenge, Browser: text("b")})
		wantFields(t, err, "code_challenge")
	}
}

func TestSignIn_AProviderThatIsDownStopsNobodyElse(t *testing.T) {
	w, e := newElsewhere(t)
	w.SignUp("ada")
	code := w.SignInCode(e, "big", identity.ProviderClaims{Subject: "bob-1"})
	e.Down = true
	_, err := w.Service.StartSignIn(t.Context(), identity.SignInStart{Provider: "big", Challenge: identitytest.SignInChallenge(), Browser: text("b")})
	wantFault(t, err, fault.Unavailable)
	w.MustLogin("ada", identitytest.Password)
	// What the provider has said already is worth its two minutes.
	must[identity.Entry](t)(w.Service.ExchangeSignIn(t.Context(), identity.ExchangeInput{Code: code, Verifier: text(identitytest.SignInVerifier)}))
}

func TestSignIn_DoorStaysOpenWhenAnAddressBeginsTooMany(t *testing.T) {
	w, _ := newElsewhere(t)
	start := func(c identity.Client) error {
		_, err := w.Service.StartSignIn(t.Context(), identity.SignInStart{Provider: "big", Challenge: identitytest.SignInChallenge(), Browser: text("b"), Client: c})
		return err
	}
	for range 600 {
		if err := start(identitytest.Laptop); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, start(identitytest.Laptop), fault.RateLimited)
	if err := start(identity.Client{}); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	w.Clock.Advance(time.Hour)
	if err := start(identitytest.Laptop); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestSignIn_HowManyAreUnderWayFallsAsTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, heard := identitytest.NewElsewhere(), &identitytest.Observer{}
		w := newWorldWith(t, ordinary, func(o *identity.Options) { o.Providers, o.Observer = e, heard })
		running, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Service.Run(running) }()
		under := func(way string, states, codes int) {
			t.Helper()
			synctest.Wait()
			if heard.Heard("open state") != states || heard.Heard("open code") != codes {
				t.Errorf("%s: %d and %d under way, want %d and %d", way, heard.Heard("open state"), heard.Heard("open code"), states, codes)
			}
		}
		w.StartSignIn("big", "browser")
		code := w.SignInCode(e, "big", adaThere)
		time.Sleep(time.Minute)
		under("one with its browser, one with its client", 1, 1)
		_, err := w.Service.ExchangeSignIn(t.Context(), identity.ExchangeInput{Code: code, Verifier: text(identitytest.SignInVerifier), Client: identitytest.Laptop})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		under("the client has come", 1, 0)
		w.Clock.Advance(time.Hour)
		time.Sleep(time.Hour)
		under("the browser never came", 0, 0)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
