from streams.looking import Backlog, looking_pause

NINE = 1_767_603_600


def test_a_backlog_is_worked_off_while_whole_panes_go_by() -> None:
    backlog = Backlog()
    assert backlog.is_worked_off(NINE)
    assert backlog.is_worked_off(NINE + 60)
    assert not backlog.is_worked_off(NINE + 119)
    assert not backlog.is_worked_off(NINE + 119)
    assert backlog.is_worked_off(NINE + 3600)
    assert not backlog.is_worked_off(NINE + 3601)


def test_looks_leave_nine_tenths_to_counting_when_there_is_always_something_to_count() -> None:
    assert looking_pause(1.0, idle=0) == 9.0
    assert looking_pause(1.0, idle=0.05) == 9.0


def test_looks_take_three_quarters_of_what_counting_leaves_over() -> None:
    assert looking_pause(0.3, idle=1) == 0.1
