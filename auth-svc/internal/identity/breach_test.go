package identity_test

import (
	"slices"
	"testing"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
)

type list []string

func (l list) Contains(word string) bool { return slices.Contains(l, word) }

func TestPassword_WhatGuessersTryFirstIsRefused(t *testing.T) {
	w := newWorldWith(t, ordinary, func(o *identity.Options) {
		o.Breached, o.OwnNames = list{"password", "dragon", "letmein", "trustno1", "1q2w3e4r"}, []string{"Cloakroom", "files"}
	})
	try := func(password string) error {
		_, err := w.Service.Signup(t.Context(), identity.SignupInput{Username: "grace", Password: text(password)})
		return err
	}
	for _, bad := range []string{
		"password", "PASSWORD", "Password1!", "p4$$w0rd", "P@ssw0rd2026!", "ｐａｓｓｗｏｒｄ", "dragondragon", "!!dragon99", "dr4g0n1234", "Trustno1!",
		"trustno1trustno1", "12345678", "87654321", "qwertyuiop", "poiuytrewq", "abcdefgh", "aaaaaaaa", "abababab", "1qaz2wsx", "qwertyuiop12",
		"Cloakroom2026", "files1234",
	} {
		err := try(bad)
		wantFields(t, err, "password")
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{
		"correct horse battery", "dragons eat passwords", "password manager's choice", "vB7#kq!2Lw", "dragon83746152", "Zx9-cloakroom-Qp4",
	} {
		w := newWorldWith(t, ordinary, func(o *identity.Options) { o.Breached = list{"password", "dragon"} })
		if _, err := w.Service.Signup(t.Context(), identity.SignupInput{Username: "grace", Password: text(good)}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestPassword_TheFilterStandsAtEveryDoor(t *testing.T) {
	w := newWorldWith(t, ordinary, func(o *identity.Options) { o.Breached = list{"dragon"} })
	caller := w.Caller(w.SignUp("ada").Tokens)
	wantFields(t, w.Service.ChangePassword(t.Context(), caller, stranger, text("correct horse battery"), text("Dragon2026")), "new_password")
}
