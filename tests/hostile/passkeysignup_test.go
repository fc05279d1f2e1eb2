package hostile

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"cloakroom.dev/libs/webauthntest"

	"cloakroom.dev/tests/harness"
)

// newcomer is somebody who signs up with a passkey alone.
type newcomer struct {
	*harness.Client
	key  *webauthntest.Key
	name string
}

func newNewcomer(t *testing.T, c *harness.Client) *newcomer {
	return &newcomer{Client: c.Fresh(), key: newKey(t, c), name: harness.NewUsername()}
}

func (n *newcomer) question() json.RawMessage {
	var a asked
	n.Do("POST", "/v1/auth/signup/passkey/options", fields{"username": n.name}).Is(200).JSON(&a)
	return a.PublicKey
}

func (n *newcomer) show(answer json.RawMessage) *harness.Answer {
	return n.Do("POST", "/v1/auth/signup/passkey", fields{"username": n.name, "credential": answer})
}

func (n *newcomer) comeIn() *harness.Answer {
	return n.Do("POST", "/v1/auth/login/passkey", fields{"credential": n.key.Answer(ask(n.Client, "/v1/auth/login/passkey/options"))})
}

func TestPasskeySignup_NothingButAPasskey(t *testing.T) {
	n := newNewcomer(t, gateway(t))
	var made struct {
		Session harness.Session `json:"session"`
		Codes   []string        `json:"recovery_codes"`
	}
	n.show(n.key.Create(n.question())).Is(201).JSON(&made)
	if len(made.Codes) != 10 {
		t.Errorf("%d recovery codes", len(made.Codes))
	}
	n.comeIn().Is(200)
	for _, password := range []string{"", harness.Password} {
		n.Do("POST", "/v1/auth/login", fields{"identifier": n.name, "password": password}).Refused(401, "INVALID_CREDENTIALS")
	}
	n.Session = made.Session
	var list struct {
		Items []struct{ ID string }
	}
	n.Do("GET", "/v1/auth/factors", nil).Is(200).JSON(&list)
	n.Do("DELETE", "/v1/auth/factors/"+list.Items[0].ID, nil).Refused(409, "CONFLICT") // the last way in
}

func TestPasskeySignup_TheQuestionIsTheSameForTakenNames(t *testing.T) {
	taken := gateway(t).SignUp()
	free, other := newNewcomer(t, taken), newNewcomer(t, taken)
	other.name = taken.User.Username
	shape := func(n *newcomer) string { // without what is new each time
		var q map[string]any
		if err := json.Unmarshal(n.question(), &q); err != nil {
			t.Fatal(err)
		}
		q["challenge"], q["user"] = len(q["challenge"].(string)), nil
		b, _ := json.Marshal(q)
		return string(b)
	}
	if a, b := shape(free), shape(other); a != b {
		t.Errorf("a free name is asked %s, a taken one %s", a, b)
	}
	other.show(other.key.Create(other.question())).Refused(409, "USER_EXISTS")
	other.comeIn().Refused(401, "INVALID_CREDENTIALS")
}

func TestPasskeySignup_OneAnswerOnePerson(t *testing.T) {
	n := newNewcomer(t, gateway(t))
	answer := n.key.Create(n.question())
	got := atOnce(8, func(int) int {
		return n.Fresh().Try("POST", "/v1/auth/signup/passkey", fields{"username": n.name, "credential": answer}).Status
	})
	if got[201] != 1 || got[401] != 7 {
		t.Errorf("one answer, eight times at once: %v", got)
	}
	n.name = harness.NewUsername()
	n.show(answer).Refused(401, "INVALID_CREDENTIALS")
}

func TestPasskeySignup_BentAnswersAreRefusedAlike(t *testing.T) {
	c := gateway(t)
	bends := map[string]func(k *webauthntest.Key){
		"user verification missing": func(k *webauthntest.Key) { k.Flags = webauthntest.FlagPresent },
		"ES256K":                    func(k *webauthntest.Key) { k.PublicKey = webauthntest.COSE(t, k.Public(), -47) },
		"cut":                       func(k *webauthntest.Key) { k.AuthData = func(b []byte) []byte { return b[:60] } },
		"a challenge without a MAC": func(k *webauthntest.Key) {
			k.ClientData = func(d map[string]any) {
				raw, _ := base64.RawURLEncoding.DecodeString(d["challenge"].(string))
				d["challenge"] = base64.RawURLEncoding.EncodeToString(append(raw[:len(raw)-16], make([]byte, 16)...))
			}
		},
	}
	for name, bend := range bent {
		bends[name] = bend
	}
	want := ""
	for name, bend := range bends {
		n := newNewcomer(t, c)
		bend(n.key)
		detail := n.show(n.key.Create(n.question())).Refused(401, "INVALID_CREDENTIALS").Detail
		if want == "" {
			want = detail
		}
		if detail != want {
			t.Errorf("%s is told apart: %q, else %q", name, detail, want)
		}
	}
}

func TestPasskeySignup_ChallengesOfOthers(t *testing.T) {
	ada := withPasskey(t, gateway(t), countless)
	n, other := newNewcomer(t, ada.Client), newNewcomer(t, ada.Client)
	enrolment := enrol(ada.Client)
	for name, answer := range map[string]json.RawMessage{
		"of another name":                 n.key.Create(other.question()),
		"of an enrolment":                 n.key.Create(enrolment.PublicKey),
		"a credential that is somebody's": ada.key.Clone().Create(n.question()),
		"an answer to a login":            ada.key.Answer(ada.question()),
	} {
		t.Run(name, func(*testing.T) { n.show(answer).Refused(401, "INVALID_CREDENTIALS") })
	}
	confirm(ada.Client, enrolment, n.key.Create(n.question())).Refused(401, "INVALID_CREDENTIALS")
	ada.comeIn().Is(200)
}

func TestPasskeySignup_NonsenseAndPrivilege(t *testing.T) {
	c := gateway(t)
	for _, body := range []any{
		fields{}, fields{"username": "x y"}, fields{"email": "ada"}, fields{"username": "grace", "password": harness.Password},
		fields{"username": "grace", "roles": []string{"admin"}}, fields{"username": "grace", "user_id": harness.NewUsername()},
	} {
		c.Fresh().Do("POST", "/v1/auth/signup/passkey/options", body).Refused(400, "VALIDATION_ERROR")
	}
	for _, b := range []struct {
		body   any
		status int
		code   string
	}{
		{fields{"username": "grace"}, 400, "VALIDATION_ERROR"},
		{fields{"username": "grace", "credential": "text"}, 400, "VALIDATION_ERROR"},
		{fields{"username": "grace", "credential": fields{}, "roles": []string{"admin"}}, 400, "VALIDATION_ERROR"},
		{fields{"username": "grace", "credential": fields{}}, 401, "INVALID_CREDENTIALS"},
		{fields{"username": "grace", "credential": fields{"id": strings.Repeat("A", 40_000)}}, 401, "INVALID_CREDENTIALS"},
		{fields{"username": "grace", "credential": fields{"id": strings.Repeat("A", 1<<20)}}, 413, "PAYLOAD_TOO_LARGE"},
	} {
		c.Fresh().Do("POST", "/v1/auth/signup/passkey", b.body).Refused(b.status, b.code)
	}
}
