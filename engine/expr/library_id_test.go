package expr

import "testing"

// Ids are the same for the same seed, and differ between calls and seeds.
func TestIdsAreDerivedFromTheSeed(t *testing.T) {
	t.Parallel()
	tm, problems := Text(`${{ uuid() }} ${{ uuid7() }} ${{ ulid() }} ${{ shortId() }} ${{ uuid() }}`, nil)
	if tm == nil {
		t.Fatal(problems)
	}
	ids := func(seed string) string {
		out, err := tm.AppendJSON(nil, &Env{Seed: []byte(seed), Now: newEnv().Now})
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := ids("run 1, step a"); got != ids("run 1, step a") || got == ids("run 1, step b") {
		t.Errorf("%s: not the same again, or the same for another step", got)
	}
	if out, err := tm.AppendJSON(nil, &Env{}); err == nil {
		t.Errorf("without a seed: %s", out)
	}
	for src, want := range map[string]string{
		`let a = uuid(); let b = uuid(); a != b`:                                             "true",
		`isUuid(uuid()) && isUuid(uuid7()) && uuid()[14:15] == "4" && uuid7()[14:15] == "7"`: "true",
		`len(uniq(map(1..1000, uuid())))`:                                                    "1000",
		`len(uniq(map(1..1000, ulid())))`:                                                    "1000",
		`uuid7() < "01a20d1b"`:                                                               "true",
	} {
		e, problems := Expr(src, nil)
		if e == nil {
			t.Fatal(problems)
		}
		if out, err := e.AppendJSON(nil, newEnv()); string(out) != want || err != nil {
			t.Errorf("%s: %s, %v", src, out, err)
		}
	}
}
