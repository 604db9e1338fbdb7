"""What changes in the course of a call, through a real server: what is asked of every engine."""

from tests.media.test_call_changes import (
    test_a_client_that_comes_back_with_another_certificate_gets_another_association,
    test_a_reinvite_that_is_not_answered_moves_nothing,
    test_crossing_calls_keep_the_phone_and_take_the_users_own_call,
    test_hold_and_resume_by_the_phone,
    test_hold_by_the_matrix_user,
)
from tests.media.test_hold import (
    test_a_phone_that_refreshes_the_session_while_it_is_held_stays_held,
    test_hold_by_the_client_is_offered_to_the_phone_and_taken_back,
    test_hold_from_both_sides_is_undone_by_each_for_itself,
    test_resume_is_offered_although_the_answer_to_hold_has_not_come,
)
from tests.media.test_joined_calls import (
    test_a_phone_that_was_on_hold_is_told_to_go_on,
    test_each_speaks_its_own_law_of_g711,
    test_either_may_move_and_change_its_codec,
    test_nobody_is_joined_to_a_call_that_is_over_or_taken,
)
from tests.media.test_trunk_policy import (
    test_a_codec_that_the_trunk_must_not_use_is_refused,
    test_the_trunks_order_decides_what_is_answered,
)

__all__ = [
    "test_a_client_that_comes_back_with_another_certificate_gets_another_association",
    "test_a_codec_that_the_trunk_must_not_use_is_refused",
    "test_a_phone_that_refreshes_the_session_while_it_is_held_stays_held",
    "test_a_phone_that_was_on_hold_is_told_to_go_on",
    "test_a_reinvite_that_is_not_answered_moves_nothing",
    "test_crossing_calls_keep_the_phone_and_take_the_users_own_call",
    "test_each_speaks_its_own_law_of_g711",
    "test_either_may_move_and_change_its_codec",
    "test_hold_and_resume_by_the_phone",
    "test_hold_by_the_client_is_offered_to_the_phone_and_taken_back",
    "test_hold_by_the_matrix_user",
    "test_hold_from_both_sides_is_undone_by_each_for_itself",
    "test_nobody_is_joined_to_a_call_that_is_over_or_taken",
    "test_resume_is_offered_although_the_answer_to_hold_has_not_come",
    "test_the_trunks_order_decides_what_is_answered",
]
