package foreignhash_test

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"

	"cloakroom.dev/auth-svc/internal/foreignhash"
	"cloakroom.dev/auth-svc/internal/identity"
)

const password = "correct horse"

// genuine are hashes of password that other programs have made.
var genuine = map[string]identity.ForeignHash{
	"bcrypt of a C library":          {Encoded: "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	"bcrypt as PHP marks it":         {Encoded: "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	"bcrypt as old ones mark it":     {Encoded: "$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	"bcrypt as a field":              {Algorithm: "bcrypt", Hash: "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	"pbkdf2 with adapted base64":     {Encoded: "$pbkdf2-sha256$1000$c2FsdHNhbHQ$qQDPSZa3Ormyy9oK1Pu0ZLLwP2Svzmx3yu8OvDdq/J0"},
	"pbkdf2 of SHA-1":                {Encoded: "$pbkdf2$1000$c2FsdHNhbHQ$wQoBU7GXMNo2CJC.raijrf6key4"},
	"pbkdf2 in PHC form":             {Encoded: "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHQ$qQDPSZa3Ormyy9oK1Pu0ZLLwP2Svzmx3yu8OvDdq/J0"},
	"pbkdf2 with a salt of text":     {Encoded: "pbkdf2_sha256$1000$NaCl$y6UK+57OG2yJnZIbS3E5E599IliwIIbBdkxEFXXGYlM="},
	"pbkdf2 with a key in hex":       {Encoded: "pbkdf2:sha512:1000$NaCl$cc5d115d3ce48c34058b84416af0f7afc22402968e17446bd88016b0d551bca43c9eda0423c04b6266512f1d1bcb97ed396210a047412a3e64411323e73b507c"},
	"scrypt with a key in hex":       {Encoded: "scrypt:1024:8:1$NaCl$c4fa948e11b16f5047014207abd9db14395929bb0dd57b6897dddbad5888421b8e54bb676d804a93202844ef881959523660fc43e9a136f83b534577cf78f302"},
	"scrypt in PHC form":             {Encoded: "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8"},
	"scrypt as fields":               {Algorithm: "scrypt", Hash: "ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8=", Salt: "c2FsdHNhbHQ=", N: 1024, R: 8, P: 1},
	"pbkdf2 as fields":               {Algorithm: "pbkdf2", Digest: "sha256", Iterations: 1000, Hash: "qQDPSZa3Ormyy9oK1Pu0ZLLwP2Svzmx3yu8OvDdq_J0", Salt: "saltsalt", SaltEncoding: "text"},
	"pbkdf2 of 512 bytes, as fields": {Algorithm: "pbkdf2", Digest: "sha512", Iterations: 1000, Hash: long, Salt: "6e61636c", Encoding: "hex", SaltEncoding: "text"},
}

// long is what a common plugin for document databases keeps: 512 bytes in hex, made with the salt's own hex as salt.
var long = func() string {
	key, _ := pbkdf2.Key(sha512.New, password, []byte("6e61636c"), 1000, 512)
	return hex.EncodeToString(key)
}()

func TestNew_KnowsWhatOthersWrite(t *testing.T) {
	if !strings.HasPrefix(long, "94bc5540b5faa0251ee540a0f361cd93696a4ac3b706e82e3b32566f910a7c01") {
		t.Fatalf("not what another program made: %.64s", long)
	}
	for name, f := range genuine {
		h, err := foreignhash.New(f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := foreignhash.Parse(h.String())
		if err != nil {
			t.Errorf("%s becomes %s: %v", name, h, err)
			continue
		}
		for _, try := range []string{password, password + "x", "", "Correct horse"} {
			match, err := again.Check(try)
			if err != nil || match != (try == password) {
				t.Errorf("%s: %q matches: %v, %v", name, try, match, err)
			}
		}
	}
}

func TestNew_RefusesWhatHurtsOrMeansNothing(t *testing.T) {
	const tail = "$c2FsdHNhbHQ$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8"
	const bcryptTail = "$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
	hash := "ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8"
	for name, f := range map[string]identity.ForeignHash{
		"argon2id of 4 GiB":    {Encoded: "$argon2id$v=19$m=4194304,t=1,p=1" + tail},
		"argon2i of 4 GiB":     {Encoded: "$argon2i$v=19$m=4194304,t=1,p=1" + tail},
		"argon2 past 32 bits":  {Encoded: "$argon2id$v=19$m=99999999999999999999,t=1,p=1" + tail},
		"argon2 much work":     {Encoded: "$argon2id$v=19$m=262144,t=16,p=1" + tail},
		"argon2 old":           {Encoded: "$argon2id$v=16$m=8192,t=1,p=1" + tail},
		"argon2 unversioned":   {Encoded: "$argon2id$m=8192,t=1,p=1" + tail},
		"argon2d":              {Encoded: "$argon2d$v=19$m=8192,t=1,p=1" + tail},
		"argon2 no passes":     {Encoded: "$argon2id$v=19$m=8192,t=0,p=1" + tail},
		"argon2 no lanes":      {Encoded: "$argon2id$v=19$m=8192,t=1,p=0" + tail},
		"argon2 by fields":     {Algorithm: "argon2id", Hash: hash, Salt: "c2FsdHNhbHQ", MemoryKiB: 4 << 20, Iterations: 1, P: 1},
		"bcrypt 31":            {Encoded: "$2b$31" + bcryptTail},
		"bcrypt 15":            {Encoded: "$2b$15" + bcryptTail},
		"bcrypt 3":             {Encoded: "$2b$03" + bcryptTail},
		"bcrypt 99":            {Encoded: "$2b$99" + bcryptTail},
		"bcrypt of the bug":    {Encoded: "$2x$10" + bcryptTail},
		"bcrypt cut":           {Encoded: "$2b$10" + bcryptTail[:50]},
		"bcrypt with a salt":   {Algorithm: "bcrypt", Hash: "$2b$04" + bcryptTail, Salt: "x"},
		"scrypt 2^40":          {Encoded: "$scrypt$ln=40,r=8,p=1" + tail},
		"scrypt 2^40, fields":  {Algorithm: "scrypt", Hash: hash, Salt: "c2FsdHNhbHQ", N: 1 << 40, R: 8, P: 1},
		"scrypt no power of 2": {Algorithm: "scrypt", Hash: hash, Salt: "c2FsdHNhbHQ", N: 1000, R: 8, P: 1},
		"scrypt negative":      {Algorithm: "scrypt", Hash: hash, Salt: "c2FsdHNhbHQ", N: -1024, R: 8, P: 1},
		"scrypt r=0":           {Encoded: "$scrypt$ln=10,r=0,p=1" + tail},
		"scrypt huge p":        {Encoded: "$scrypt$ln=10,r=8,p=1099511627775" + tail},
		"scrypt overflow":      {Encoded: "$scrypt$ln=63,r=32,p=16" + tail},
		"scrypt signed":        {Encoded: "$scrypt$ln=+10,r=8,p=1" + tail},
		"pbkdf2 for ever":      {Encoded: "$pbkdf2-sha256$i=1099511627775" + tail},
		"pbkdf2 none":          {Encoded: "$pbkdf2-sha256$i=0" + tail},
		"pbkdf2 negative":      {Algorithm: "pbkdf2", Digest: "sha256", Iterations: -1, Hash: hash, Salt: "c2FsdHNhbHQ"},
		"pbkdf2 of md5":        {Algorithm: "pbkdf2", Digest: "md5", Iterations: 1000, Hash: hash, Salt: "c2FsdHNhbHQ"},
		"pbkdf2 of nothing":    {Algorithm: "pbkdf2", Iterations: 1000, Hash: hash, Salt: "c2FsdHNhbHQ"},
		"pbkdf2 with N":        {Algorithm: "pbkdf2", Digest: "sha256", Iterations: 1000, N: 1024, Hash: hash, Salt: "c2FsdHNhbHQ"},
		"a short key":          {Encoded: "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$AAAA"},
		"no salt":              {Encoded: "$pbkdf2-sha256$i=1000$$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8"},
		"a huge salt":          {Encoded: "$pbkdf2-sha256$i=1000$" + strings.Repeat("A", 4000) + "$AAAA"},
		"megabytes":            {Encoded: "$scrypt$ln=10,r=8,p=1$" + strings.Repeat("A", 10<<20)},
		"no base64":            {Encoded: "$scrypt$ln=10,r=8,p=1$####$####"},
		"unknown encoding":     {Algorithm: "pbkdf2", Digest: "sha256", Iterations: 1000, Hash: hash, Salt: "c2FsdHNhbHQ", Encoding: "rot13"},
		"unknown algorithm":    {Algorithm: "md5", Hash: hash},
		"plain text":           {Encoded: "hunter2"},
		"md5":                  {Encoded: "5f4dcc3b5aa765d61d8327deb882cf99"},
		"crypt of SHA-512":     {Encoded: "$6$rounds=5000$salt$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8"},
		"both ways at once":    {Encoded: "$2b$04" + bcryptTail, Algorithm: "bcrypt"},
		"NUL":                  {Encoded: "$2b$04\x00" + bcryptTail},
	} {
		h, err := foreignhash.New(f)
		if err == nil {
			t.Errorf("%s: taken as %s", name, h)
		} else if strings.Contains(err.Error(), "ZGeSw") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the hash: %v", name, err)
		}
	}
}

// A hash of 72 bytes says nothing about the 73rd.
func TestBcrypt_DoesNotVouchForWhatItNeverSaw(t *testing.T) {
	// Made by a C library of 72 times the letter x.
	h, err := foreignhash.Parse("$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i")
	if err != nil {
		t.Fatal(err)
	}
	for length, want := range map[int]bool{71: false, 72: true, 73: false, 200: false} {
		if match, err := h.Check(strings.Repeat("x", length)); match != want || err != nil {
			t.Errorf("%d bytes match: %v, %v; want %v", length, match, err, want)
		}
	}
}

func TestDummy_IsOfItsKind(t *testing.T) {
	for _, kind := range []string{"$2b$04", "$2y$04", "$argon2i$v=19$m=8192,t=1,p=1", "$scrypt$ln=10,r=8,p=1", "$pbkdf2-sha1$i=1000"} {
		h, err := foreignhash.Dummy(kind)
		if err != nil || identity.HashKind(h.String()) != kind {
			t.Errorf("%s: %s, %v", kind, h, err)
			continue
		}
		if match, err := h.Check("anything"); match || err != nil {
			t.Errorf("%s: %v, %v", kind, match, err)
		}
	}
	if _, err := foreignhash.Dummy("$2b$31"); err == nil {
		t.Error("made what nobody can check")
	}
}

// FuzzParse looks for a text that means two things, or one that is let through and costs too much.
func FuzzParse(f *testing.F) {
	for _, g := range genuine {
		f.Add(g.Encoded)
	}
	f.Add("$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := foreignhash.New(identity.ForeignHash{Encoded: text})
		if err != nil {
			return
		}
		again, err := foreignhash.Parse(h.String())
		if err != nil || again.String() != h.String() || again.Algorithm() != h.Algorithm() {
			t.Fatalf("%q is %s, and that is %s, %v", text, h, again, err)
		}
		if h.Memory() < 0 || h.Memory() > 256<<20 || h.Effort() < 1 || h.Effort() > 1<<22 {
			t.Fatalf("%q may cost %d bytes and %d", text, h.Memory(), h.Effort())
		}
		if kind := identity.HashKind(h.String()); kind == "" || !strings.HasPrefix(h.String(), kind) {
			t.Fatalf("%s is of kind %q", h, kind)
		}
	})
}
