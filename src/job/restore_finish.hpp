// SPDX-License-Identifier: Apache-2.0
// The last steps of a restore, which recover can take as well. From `written` on all data is durable; once a restore
// that replaces has named its first file, it can only go forwards.
#pragma once

#include <string>

#include "hypervisor/connection.hpp"
#include "job/restore_plan.hpp"

namespace icecore::job {

// Remembers the complete files, by which why_superseded() knows them again.
void note_written(RestorePlan& plan);

// Why a restore that was cut short after note_written() is not to be finished any more; empty: it is. Its domain runs
// or is defined on other disks, or one of its files was used since, or removed: what it would put there is older.
std::string why_superseded(hypervisor::Connection& connection, const RestorePlan& plan);

// Gives each complete file its final name; one that has it already is left alone. Without plan.replace a
// file that appeared meanwhile is Fault::conflict; with it, Fault::busy when a domain has been started on the old ones
// since, or the one that gives way on whatever disks (`connection` must be given then).
void name_files(hypervisor::Connection* connection, const RestorePlan& plan);

// Whether name_files() has begun, or a device was written over: there is no way back. Only from `written` on.
bool any_named(const RestorePlan& plan);

// What has become of a device that was begun, for people.
std::string tell_device(const PlannedFile& file);

// Defines the domain of the plan, if it has one. Defining it again changes nothing.
void define_domain(hypervisor::Connection& connection, const RestorePlan& plan);

// Whether the plan's domain is there, on the plan's disks: one of its UUID that somebody else defined is on others.
bool is_defined(hypervisor::Connection& connection, const RestorePlan& plan);

// Lets the plan's storage pools see their new volumes. What goes wrong is only logged: the disks are there.
void refresh_pools(hypervisor::Connection* connection, const RestorePlan& plan);

// Removes the files still under their work names, and those already named that replaced nothing. Devices are left.
void remove_files(const RestorePlan& plan, bool also_named);

}  // namespace icecore::job
