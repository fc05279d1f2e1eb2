package hostile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// Versions and the trash: other people's, impossible ones, and two writers at once.

func TestVersions_NumbersThatAreNone(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("v.txt", []byte("one")).Is(201).File()
	for _, n := range []string{"0", "-1", "2", "01", "9223372036854775808", "1.0", "current", "%31%00"} {
		for _, call := range [][2]string{{"GET", "/content"}, {"POST", "/restore"}} {
			path := "/v1/files/" + f.ID + "/versions/" + n + call[1]
			if a := ada.Do(call[0], path, nil); a.Status != 404 && a.Status != 400 {
				t.Errorf("%s %s answered %d %s", call[0], path, a.Status, a.Body)
			}
		}
	}
}

func TestVersions_OfAnotherPerson(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.Fresh().SignUp()
	f := ada.Upload("v.txt", []byte("one")).Is(201).File()
	eve.Do("GET", "/v1/files/"+f.ID+"/versions", nil).Refused(404, "NOT_FOUND")
	eve.Do("GET", "/v1/files/"+f.ID+"/versions/1/content", nil).Refused(404, "NOT_FOUND")
	eve.Do("POST", "/v1/files/"+f.ID+"/versions/1/restore", nil).Refused(404, "NOT_FOUND")
}

func TestTrash_OfAnotherPerson(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.Fresh().SignUp()
	f := ada.Upload("t.txt", []byte("one")).Is(201).File()
	ada.Do("DELETE", "/v1/files/"+f.ID, nil).Is(204)
	eve.Do("POST", "/v1/trash/"+f.ID+"/restore", nil).Refused(404, "NOT_FOUND")
	eve.Do("DELETE", "/v1/trash/"+f.ID, nil).Refused(404, "NOT_FOUND")
	if a := eve.Do("GET", "/v1/trash", nil).Is(200); bytes.Contains(a.Body, []byte(f.ID)) {
		t.Errorf("eve sees %s", a.Body)
	}
	c.Fresh().Do("GET", "/v1/trash", nil).Refused(401, "AUTH_ERROR")
}

func TestTrash_CursorOfAnotherPerson(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.Fresh().SignUp()
	for n := range 2 {
		f := ada.Upload(fmt.Sprint(n), []byte("x")).Is(201).File()
		ada.Do("DELETE", "/v1/files/"+f.ID, nil).Is(204)
	}
	var page struct {
		NextCursor string `json:"next_cursor"`
	}
	ada.Do("GET", "/v1/trash?limit=1", nil).Is(200).JSON(&page)
	eve.Do("GET", "/v1/trash?cursor="+page.NextCursor, nil).Refused(400, "VALIDATION_ERROR")
	ada.Do("GET", "/v1/trash?cursor="+strings.ToUpper(page.NextCursor), nil).Refused(400, "VALIDATION_ERROR")
}

func TestTrash_WhatIsInItIsNotServed(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("t.txt", []byte("one")).Is(201).File()
	ada.Do("DELETE", "/v1/files/"+f.ID, nil).Is(204)
	for _, path := range []string{"", "/content", "/versions", "/versions/1/content"} {
		ada.Do("GET", "/v1/files/"+f.ID+path, nil).Refused(404, "NOT_FOUND")
	}
	ada.Do("POST", "/v1/files/"+f.ID+"/versions/1/restore", nil).Refused(404, "NOT_FOUND")
}

func TestTrash_RestoredAndDeletedAtOnce(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("t.txt", []byte("one")).Is(201).File()
	ada.Do("DELETE", "/v1/files/"+f.ID, nil).Is(204)
	won := parallel(16, func(i int) int {
		if i%2 == 0 {
			return ada.Try("POST", "/v1/trash/"+f.ID+"/restore", nil).Status
		}
		return ada.Try("DELETE", "/v1/trash/"+f.ID, nil).Status
	})
	if won[200]+won[204] != 1 || won[404] != 15 {
		t.Errorf("answers: %v, want one winner", won)
	}
}

func TestDelete_OverANewerContent(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("t.txt", []byte("one")).Is(201).File()
	ada.Do("PUT", "/v1/files/"+f.ID+"/content", strings.NewReader("two")).Is(200)
	ada.Do("DELETE", "/v1/files/"+f.ID+"?permanent=1", nil, harness.Header("If-Match", f.ETag)).Refused(412, "PRECONDITION_FAILED")
	ada.Do("GET", "/v1/files/"+f.ID, nil).Is(200)
}
