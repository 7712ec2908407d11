// SPDX-License-Identifier: Apache-2.0
// Reads domain XML with XPath, for what tests assert about it.
#pragma once

#include <string>
#include <vector>

namespace icecore::rig {

// The strings an XPath expression selects in a document: attribute values, element texts.
std::vector<std::string> xml_values(const std::string& xml, const std::string& xpath);
// The only one of them, or "" when there is none; several are an error.
std::string xml_value(const std::string& xml, const std::string& xpath);

}  // namespace icecore::rig
