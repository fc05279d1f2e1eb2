package token_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// fullView has n live sessions revoked, and some of the other kinds.
func fullView(n int) *token.View {
	v := token.NewView(token.ViewOptions{})
	seq := int64(0)
	add := func(kind token.Kind, n int) {
		for range n {
			seq++
			v.Apply(token.Entry{Seq: seq, Kind: kind, ID: fmt.Sprintf("01890000-0000-7000-8000-%012d", seq), At: time.Now(), Until: time.Now().Add(time.Hour)})
		}
	}
	add(token.KindSession, n)
	add(token.KindUserEpoch, 100)
	add(token.KindUserDeleted, 100)
	add(token.KindSigningKey, 1)
	v.Heard(seq, time.Now())
	return v
}

func caller(i int) principal.Principal {
	return principal.Principal{
		UserID: fmt.Sprintf("01890000-0000-7000-8000-%012x", i+1<<40), SessionID: fmt.Sprintf("01890000-0000-7000-8000-%012x", i+1<<41),
		KeyID: "key-1", ExpiresAt: time.Now().Add(time.Hour),
	}
}

func BenchmarkVerify_Hit(b *testing.B) {
	iss := tokentest.New(b)
	v, _ := iss.Verifier(b, "bench")
	raw := iss.Mint(tokentest.Roles("guest"), tokentest.Permissions("files:read:self", "files:create:self", "files:update:self", "files:delete:self"))
	b.Logf("a token of %d bytes", len(raw))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify_Miss(b *testing.B) {
	iss := tokentest.New(b)
	v, _ := iss.Verifier(b, "bench")
	raws := make([]string, 1<<15)
	for i := range raws {
		raws[i] = iss.Mint()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := v.Verify(b.Context(), raws[i%len(raws)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkView_Check(b *testing.B) {
	v, p := fullView(100_000), caller(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Check(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkView_CheckParallel(b *testing.B) {
	v := fullView(100_000)
	b.RunParallel(func(pb *testing.PB) {
		p := caller(1)
		for pb.Next() {
			if err := v.Check(p); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkView_Bind(b *testing.B) {
	v, p := fullView(100_000), caller(1)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_, done := v.Bind(ctx, p)
		done()
	}
}

// BenchmarkContext is the floor under Bind: the standard library's share.
func BenchmarkContext(b *testing.B) {
	for b.Loop() {
		_, cancel := context.WithCancelCause(b.Context())
		cancel(nil)
	}
}

func BenchmarkView_Apply(b *testing.B) {
	v := token.NewView(token.ViewOptions{MaxEntries: 1 << 30})
	now := time.Now()
	b.ReportAllocs()
	for i := int64(1); b.Loop(); i++ {
		v.Apply(token.Entry{Seq: i, Kind: token.KindSession, ID: fmt.Sprintf("01890000-0000-7000-8000-%012d", i), At: now, Until: now.Add(time.Hour)})
	}
}

// BenchmarkVerify_Refusal is what strangers can make us pay for one token of 8 KiB.
func BenchmarkVerify_Refusal(b *testing.B) {
	f := newFixture(b)
	for name, raw := range map[string]string{
		"garbage":        strings.Repeat("x", 8<<10),
		"too large":      strings.Repeat("x", 1<<20),
		"unknown kid":    f.sign("EdDSA", with(header("EdDSA"), "kid", "unknown"), with(goodClaims(), "pad", strings.Repeat("x", 5<<10))),
		"widest header":  f.sign("EdDSA", "{"+strings.TrimSuffix(strings.Repeat(`"":0,`, 200), ",")+"}", goodClaims()),
		"deepest header": f.sign("EdDSA", strings.Repeat(`[`, 1000), goodClaims()),
		"forged EdDSA":   forged(f, "EdDSA"), "forged ES256": forged(f, "ES256"), "forged ES512": forged(f, "ES512"), "forged RS256": forged(f, "RS256"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Verify(b.Context(), raw); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func forged(f *fixture, algorithm string) string {
	genuine := f.sign(algorithm, header(algorithm), with(goodClaims(), "pad", strings.Repeat("x", 4<<10)))
	return strings.Replace(genuine, ".ey", ".e2", 1)
}
